"""The consumer of a BPF ring buffer (BPF_MAP_TYPE_RINGBUF, Linux 5.8) over its memory, without a system call a record.

Who drops: the producer. ``reserve`` fails in the program when the ring is full, and only the program can count that;
what was submitted stays until it is consumed. Who wakes: a submit wakes a sleeping consumer when that has read
everything before it, unless the program says BPF_RB_NO_WAKEUP; so :meth:`RingConsumer.poll` also looks by itself
every 50 ms.

Layout (kernel/bpf/ringbuf.c): one page with the consumer's position, which user space writes; one page with the
producer's, then the data, both read-only here. The data are mapped twice in a row, so no record is ever cut in two.
A record has a header of 8 bytes: its length with a busy bit (reserved, not yet submitted) and a discard bit.

Memory order: the producer stores a record and then clears its busy bit; the consumer must see them in that order, and
must not give space back before it has read it. Aligned words are loaded and stored whole, and x86-64 keeps the order
of loads and of stores by itself. On aarch64 a fence (see :func:`fence`) stands between the walk over the headers and
the records, and before each return of space: once a batch, as Python has no cheaper one. A wake-up cannot get lost,
because poll(2) compares the positions in the kernel after it has queued the caller.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable, TypeVar, cast

from pybpf.kernel.fd import FdClosed, OwnedFd
from pybpf.kernel.syscall import error_of
from pybpf.types import unpack

T = TypeVar("T")

BUSY = 1 << 31
DISCARD = 1 << 30
LENGTH = DISCARD - 1
HEADER_SIZE = 8

BATCH = 512
"""Records walked at once; their space goes back together."""

LOOK_EVERY_S = 0.05
"""How long a record submitted with BPF_RB_NO_WAKEUP may wait for a sleeping consumer."""


def fence(machine: str, lock: threading.Lock) -> None:
    """Order the loads and stores before the call with those after it.

    Nothing to do on x86-64 for what a ring needs. Elsewhere: a lock's release orders what came before it, the next
    acquire what comes after, and the two keep their order (Arm ARM B2.3, store-release before load-acquire).
    """
    if machine != "x86_64":
        lock.acquire()
        lock.release()
        lock.acquire()
        lock.release()


class RingConsumer:
    """One ring, consumed by one thread at a time; ``size`` is that of its data in bytes."""

    def __init__(self, ring: OwnedFd, size: int) -> None:
        page = mmap.PAGESIZE
        self._fd = ring
        self._mask = size - 1
        self._machine = os.uname().machine
        self._lock = threading.Lock()
        try:
            self._control = mmap.mmap(ring.fileno(), page)
            self._memory = mmap.mmap(ring.fileno(), page + 2 * size, prot=mmap.PROT_READ, offset=page)
        except OSError as error:
            raise error_of(f"map the memory of {ring.what}", error.errno or 0, "CAP_BPF") from None
        self._consumer = memoryview(self._control)[:8].cast("Q")
        self._producer = memoryview(self._memory)[:8].cast("Q")
        self._data = memoryview(self._memory)[page:]
        self._words = self._data.cast("I")
        self._position: int = self._consumer[0]
        self._poll = select.poll()
        self._poll.register(ring.fileno(), select.POLLIN)
        self._closed = False

    def pending(self) -> int:
        """Bytes reserved and not consumed, headers included."""
        self._check()
        return self._producer[0] - self._position

    def poll(self, timeout_s: float | None = None) -> bool:
        """Wait until something is in the ring (None: for ever); False when the time is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.pending():
            left = LOOK_EVERY_S if deadline is None else min(LOOK_EVERY_S, deadline - time.monotonic())
            if left <= 0:
                return False
            self._poll.poll(left * 1000)
        return True

    def consume(self, callback: Callable[[memoryview], object], limit: int | None = None) -> int:
        """Give each submitted record to ``callback``; returns how many.

        Takes what is there at the time of the call, ``limit`` records at most. The view is read-only, valid only
        during the call and released after it: copy what must stay. A record whose callback raises counts as consumed.
        """
        self._check()
        head = self._producer[0]
        count = 0
        data = self._data
        while limit is None or count < limit:
            wanted = BATCH if limit is None else min(BATCH, limit - count)
            records, end = self._walk(head, wanted)
            if end == self._position:
                break
            fence(self._machine, self._lock)
            try:
                for start, stop, after in records:
                    # Before the call, so that a record whose callback raises is not delivered again.
                    self._position = after
                    count += 1
                    with data[start:stop] as view:
                        callback(view)
                self._position = end
            finally:
                self._publish()
        return count

    def read(self, kind: type[T], timeout: float | None = None) -> Iterator[T]:
        """The records as ``kind`` (a Struct, a scalar), one by one; ends when none came for ``timeout`` seconds.

        A record not yet yielded stays in the ring, so leaving the loop loses nothing. Bytes beyond the size of
        ``kind`` are left out; a record shorter than it raises ValueError and counts as consumed.
        """
        decode = cast("Callable[[Any, memoryview], T]", unpack)
        while self.poll(timeout):
            records, end = self._walk(self._producer[0], BATCH)
            fence(self._machine, self._lock)
            try:
                before = self._position
                for start, stop, after in records:
                    if self._position != before:
                        break  # the body of the loop consumed from the same ring
                    before = self._position = after
                    with self._data[start:stop] as view:
                        value = decode(kind, view)
                    yield value
                    self._check()
                else:
                    if self._position == before:
                        self._position = end
            finally:
                if not self._closed:
                    self._publish()

    def _walk(self, head: int, limit: int) -> tuple[list[tuple[int, int, int]], int]:
        """The next records as (start, stop, position after it), and the position after them and what was discarded."""
        position, mask, words = self._position, self._mask, self._words
        records: list[tuple[int, int, int]] = []
        while position < head and len(records) < limit:
            start = position & mask
            word = words[start >> 2]
            if word & BUSY:
                break
            position += ((word & LENGTH) + HEADER_SIZE + 7) & ~7
            if not word & DISCARD:
                start += HEADER_SIZE
                records.append((start, start + (word & LENGTH), position))
        return records, position

    def _publish(self) -> None:
        fence(self._machine, self._lock)
        self._consumer[0] = self._position

    def _check(self) -> None:
        if self._closed:
            raise FdClosed(self._fd.what)

    def close(self) -> None:
        """Unmap the memory; the map itself stays open. Memory that a view still uses goes with that view."""
        if self._closed:
            return
        self._closed = True
        for view in (self._consumer, self._producer, self._words, self._data):
            view.release()
        for memory in (self._control, self._memory):
            # BufferError: a slice of a record was kept, and keeps the mapping until it is dropped.
            with contextlib.suppress(BufferError):
                memory.close()

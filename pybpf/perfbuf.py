"""The consumer of perf rings, one a CPU, that carry ``bpf_perf_event_output`` (Linux 4.4).

Who drops: the kernel, when a ring is full; it says how many in a PERF_RECORD_LOST before the next record that fits, so
a loss at the very end stays unreported until another record follows. Who wakes: the kernel, every ``wakeup_events``
records.

Layout (include/uapi/linux/perf_event.h): a page of control words, of which user space writes only ``data_tail``, then
a power of two of data pages. A record that reaches the end goes on at the start and is joined here by a copy.
Memory order as in :mod:`pybpf.ringbuf`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable, TypeVar, cast

from pybpf.kernel.constants import PerfRecord
from pybpf.kernel.cpus import online_cpus
from pybpf.kernel.fd import FdClosed, OwnedFd
from pybpf.kernel.perf_event import PERF_CAPABILITY, enable, open_bpf_output
from pybpf.kernel.syscall import error_of
from pybpf.ringbuf import LOOK_EVERY_S, fence
from pybpf.types import unpack

T = TypeVar("T")

HEAD_OFFSET = 1024
TAIL_OFFSET = 1032
_HEADER = struct.Struct("=IHH")
_LOST = struct.Struct("=QQ")
_RAW_SIZE = struct.Struct("=I")


class PerfRing:
    """The ring of one CPU; ``size`` is that of its data in bytes."""

    def __init__(self, event: OwnedFd, size: int) -> None:
        self._event = event
        self._size = size
        try:
            self._memory = mmap.mmap(event.fileno(), mmap.PAGESIZE + size)
        except OSError as error:
            hint = "raise kernel.perf_event_mlock_kb or RLIMIT_MEMLOCK, or ask for fewer pages"
            raise error_of(f"map the memory of {event.what}", error.errno or 0, PERF_CAPABILITY, hint) from None
        whole = memoryview(self._memory)
        self._head = whole[HEAD_OFFSET : HEAD_OFFSET + 8].cast("Q")
        self._tail = whole[TAIL_OFFSET : TAIL_OFFSET + 8].cast("Q")
        self._data = whole[mmap.PAGESIZE :].toreadonly()
        whole.release()
        self._position: int = self._tail[0]
        self.lost = 0

    def pending(self) -> int:
        """Bytes written and not consumed."""
        return self._head[0] - self._position

    def next(self, head: int) -> memoryview | None:
        """The data of the next sample before ``head``, or None; losses on the way are counted."""
        while self._position < head:
            kind, _, size = _HEADER.unpack(self._bytes(self._position, _HEADER.size))
            if size < _HEADER.size:
                # A kernel never writes this; without it a damaged ring would be read for ever.
                self._position = head
                break
            body = self._bytes(self._position + _HEADER.size, size - _HEADER.size)
            self._position += size
            if kind == PerfRecord.SAMPLE:
                length = _RAW_SIZE.unpack_from(body)[0]
                return body[_RAW_SIZE.size : _RAW_SIZE.size + length]
            if kind == PerfRecord.LOST:
                self.lost += _LOST.unpack_from(body)[1]
        return None

    def head(self) -> int:
        """Where the kernel writes next."""
        return int(self._head[0])

    def publish(self) -> None:
        """Give the space of what was read back to the kernel."""
        self._tail[0] = self._position

    def _bytes(self, position: int, length: int) -> memoryview:
        start = position & (self._size - 1)
        if start + length <= self._size:
            return self._data[start : start + length]
        return memoryview(bytes(self._data[start:]) + bytes(self._data[: start + length - self._size]))

    def close(self) -> None:
        """Unmap and close the event."""
        for view in (self._head, self._tail, self._data):
            view.release()
        # BufferError: a slice of a record was kept, and keeps the mapping until it is dropped.
        with contextlib.suppress(BufferError):
            self._memory.close()
        self._event.close()


class PerfConsumer:
    """The rings of all CPUs that are online, consumed by one thread at a time; ``pages`` of data each."""

    def __init__(self, *, pages: int = 64, wakeup_events: int = 1) -> None:
        self._machine = os.uname().machine
        self._lock = threading.Lock()
        self._rings: dict[int, PerfRing] = {}
        self._events: dict[int, OwnedFd] = {}
        self._poll = select.poll()
        self._closed = False
        try:
            for cpu in online_cpus():
                self._events[cpu] = event = open_bpf_output(cpu, wakeup_events=wakeup_events)
                self._rings[cpu] = PerfRing(event, pages * mmap.PAGESIZE)
                enable(event)
                self._poll.register(event.fileno(), select.POLLIN)
        except BaseException:
            self.close()
            raise

    def event_filenos(self) -> dict[int, int]:
        """The descriptor of each CPU's event, which belongs into the map at that index."""
        return {cpu: event.fileno() for cpu, event in self._events.items()}

    @property
    def lost(self) -> int:
        """Records dropped so far, as far as the kernel has reported them and the reader has come to the report."""
        return sum(ring.lost for ring in self._rings.values())

    def pending(self) -> int:
        """Bytes in all rings, headers included."""
        self._check()
        return sum(ring.pending() for ring in self._rings.values())

    def poll(self, timeout_s: float | None = None) -> bool:
        """Wait until something is in a ring (None: for ever); False when the time is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.pending():
            left = LOOK_EVERY_S if deadline is None else min(LOOK_EVERY_S, deadline - time.monotonic())
            if left <= 0:
                return False
            self._poll.poll(left * 1000)
        return True

    def consume(self, callback: Callable[[memoryview], object], limit: int | None = None) -> int:
        """Give each record that is there to ``callback``, CPU by CPU; returns how many.

        The view is read-only, valid only during the call and released after it. A record whose callback raises counts
        as consumed.
        """
        count = 0
        for view in self._samples():
            count += 1
            with view:
                callback(view)
            if limit is not None and count >= limit:
                break
        return count

    def read(self, kind: type[T], timeout: float | None = None) -> Iterator[T]:
        """The records as ``kind``, one by one; ends when none came for ``timeout`` seconds."""
        decode = cast("Callable[[Any, memoryview], T]", unpack)
        while self.poll(timeout):
            for view in self._samples():
                with view:
                    value = decode(kind, view)
                yield value

    def _samples(self) -> Iterator[memoryview]:
        self._check()
        for ring in self._rings.values():
            head = ring.head()
            fence(self._machine, self._lock)
            try:
                while not self._closed:
                    view = ring.next(head)
                    if view is None:
                        break
                    yield view
            finally:
                fence(self._machine, self._lock)
                if not self._closed:
                    ring.publish()

    def _check(self) -> None:
        if self._closed:
            raise FdClosed("perf buffer")

    def close(self) -> None:
        """Close every ring."""
        self._closed = True
        for cpu, event in self._events.items():
            ring = self._rings.get(cpu)
            if ring is not None:
                ring.close()
            event.close()

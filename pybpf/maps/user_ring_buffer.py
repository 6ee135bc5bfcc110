"""BPF_MAP_TYPE_USER_RINGBUF (Linux 6.1): records from Python to programs, without a system call each.

The mirror of the ring buffer: here Python produces, and a program drains (``bpf_user_ringbuf_drain``), which nobody
wakes: it runs when its hook does. Layout (kernel/bpf/ringbuf.c): a page with the consumer's position, read-only here;
a page with the producer's and then the data, mapped twice in a row, which user space writes.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import threading
from collections.abc import Iterator

from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.fd import FdClosed
from pybpf.kernel.syscall import error_of
from pybpf.maps.base import Map
from pybpf.ringbuf import BUSY, DISCARD, HEADER_SIZE, fence
from pybpf.types import Struct


class UserRingBuffer(Map):
    """A ring of ``size`` bytes, a power of two; at least a page of the machine, to which ``create()`` raises it.

    One thread at a time sends. A record takes 8 bytes more than its data, rounded up to 8.
    """

    map_type = MapType.USER_RINGBUF

    def __init__(self, size: int, *, flags: MapFlag | int = 0, name: str = "") -> None:
        if size < 1 or size & (size - 1):
            raise ValueError(f"the size of a ring buffer is a power of two, not {size}")
        super().__init__(key=None, value=None, max_entries=size, flags=flags, name=name)
        self._ring: _Producer | None = None

    @property
    def size(self) -> int:
        """Bytes of data it holds, 8 of them for the header of each record."""
        return self.max_entries

    def send(self, record: bytes | Struct) -> bool:
        """Put a record in; False when there is no room for it now.

        Raises:
            ValueError: it does not even fit an empty ring.
        """
        data = record if isinstance(record, bytes) else record.pack()
        with self.reserve(len(data)) as slot:
            if slot is None:
                return False
            slot[:] = data
        return True

    @contextlib.contextmanager
    def reserve(self, size: int) -> Iterator[memoryview | None]:
        """A slot of ``size`` bytes to fill, sent when the block ends and discarded when it raises; None without room.

        Programs see records in the order in which they were reserved, and wait for a slot that is still being filled.
        """
        ring = self._producer("reserve")
        header = ring.begin(size)
        if header is None:
            yield None
            return
        slot = ring.slot(header, size)
        try:
            yield slot
        except BaseException:
            ring.end(header, size | DISCARD)
            raise
        else:
            ring.end(header, size)
        finally:
            slot.release()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until a program has drained something (None: for ever); False when the time is over."""
        self._producer("wait")
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))

    def pending(self) -> int:
        """Bytes sent and not yet drained, headers included."""
        return self._producer("pending").pending()

    def drain(self, callback: object, context: object = None) -> int:
        """In a program: give each record to ``callback``; how many were drained, or a negative error number."""
        raise self._only_in_programs("drain")

    def close(self) -> None:
        """Unmap the ring and give up the kernel object."""
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        super().close()

    def _kernel_entries(self) -> int:
        self.max_entries = max(self.max_entries, mmap.PAGESIZE)
        return self.max_entries

    def _opened(self) -> None:
        self._ring = _Producer(self, self.max_entries)

    def _producer(self, method: str) -> _Producer:
        self._need(method)
        if self._ring is None:
            raise FdClosed(self._label())
        return self._ring


class _Producer:
    """The ring's memory and positions."""

    def __init__(self, ring: UserRingBuffer, size: int) -> None:
        page = mmap.PAGESIZE
        self._size = size
        self._machine = os.uname().machine
        self._lock = threading.Lock()
        try:
            self._control = mmap.mmap(ring.fileno(), page, prot=mmap.PROT_READ)
            self._memory = mmap.mmap(ring.fileno(), page + 2 * size, offset=page)
        except OSError as error:
            raise error_of(f"map the memory of {ring.fd.what}", error.errno or 0, "CAP_BPF") from None
        self._consumer = memoryview(self._control)[:8].cast("Q")
        self._position = memoryview(self._memory)[:8].cast("Q")
        self._data = memoryview(self._memory)[page:]
        self._words = self._data.cast("I")

    def pending(self) -> int:
        return self._position[0] - self._consumer[0]

    def begin(self, size: int) -> int | None:
        """Reserve room: where its header lies in the data, or None when the ring is full."""
        total = -(-(size + HEADER_SIZE) // 8) * 8
        if size < 0 or total > self._size:
            raise ValueError(f"a record of {size} bytes never fits a ring of {self._size}")
        if self.pending() + total > self._size:
            return None
        position = self._position[0]
        header = position & (self._size - 1)
        self._words[header >> 2] = size | BUSY
        self._words[(header >> 2) + 1] = 0
        # A program must not look at the header before it is there.
        fence(self._machine, self._lock)
        self._position[0] = position + total
        return int(header)

    def slot(self, header: int, size: int) -> memoryview:
        return self._data[header + HEADER_SIZE : header + HEADER_SIZE + size]

    def end(self, header: int, length: int) -> None:
        """Hand the record over: its data first, then the header without the busy bit."""
        fence(self._machine, self._lock)
        self._words[header >> 2] = length

    def close(self) -> None:
        for view in (self._consumer, self._position, self._words, self._data):
            view.release()
        for memory in (self._control, self._memory):
            with contextlib.suppress(BufferError):
                memory.close()

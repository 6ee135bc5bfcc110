"""BPF_MAP_TYPE_RINGBUF (Linux 5.8): records from programs on all CPUs, in order, read without a system call each."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Callable, TypeVar

from pybpf.kernel.constants import MapFlag, MapType, RingFlag
from pybpf.maps.base import Map
from pybpf.ringbuf import RingConsumer

T = TypeVar("T")


class RingBuffer(Map):
    """A ring of ``size`` bytes, a power of two; at least a page of the machine, to which ``create()`` raises it.

    A program reserves a slot, fills it and submits it; when the ring is full ``reserve`` gives None, and counting that
    is the program's job. :mod:`pybpf.ringbuf` says who wakes whom.
    """

    map_type = MapType.RINGBUF

    def __init__(self, size: int, *, flags: MapFlag | int = 0, name: str = "") -> None:
        if size < 1 or size & (size - 1):
            raise ValueError(f"the size of a ring buffer is a power of two, not {size}")
        super().__init__(key=None, value=None, max_entries=size, flags=flags, name=name)
        self._consumer: RingConsumer | None = None

    @property
    def size(self) -> int:
        """Bytes of data it holds, 8 of them for the header of each record."""
        return self.max_entries

    def reserve(self, record: type[T], tail: int = 0) -> T | None:
        """In a program: a slot for one ``record`` and ``tail`` bytes after it, or None when the ring is full."""
        raise self._only_in_programs("reserve")

    def submit(self, slot: object, flags: RingFlag | int = 0) -> None:
        """In a program: hand a reserved slot to the reader."""
        raise self._only_in_programs("submit")

    def discard(self, slot: object, flags: RingFlag | int = 0) -> None:
        """In a program: give a reserved slot back unread; its space is free once the reader has passed it."""
        raise self._only_in_programs("discard")

    def output(self, value: object, size: int | None = None, flags: RingFlag | int = 0) -> int:
        """In a program: copy a finished record (its first ``size`` bytes) into the ring; negative when it is full."""
        raise self._only_in_programs("output")

    def poll(self, timeout_s: float | None = None) -> bool:
        """Wait until something is in the ring (None: for ever); False when the time is over."""
        return self._reader("poll").poll(timeout_s)

    def consume(self, callback: Callable[[memoryview], object], limit: int | None = None) -> int:
        """Give each record that is there to ``callback``; see :meth:`pybpf.ringbuf.RingConsumer.consume`."""
        return self._reader("consume").consume(callback, limit)

    def read(self, kind: type[T], timeout: float | None = None) -> Iterator[T]:
        """The records as ``kind``, until none came for ``timeout`` seconds (None: for ever)."""
        return self._reader("read").read(kind, timeout)

    def pending(self) -> int:
        """Bytes in the ring, headers included."""
        return self._reader("pending").pending()

    def close(self) -> None:
        """Unmap the ring and give up the kernel object."""
        if self._consumer is not None:
            self._consumer.close()
        super().close()

    def _kernel_entries(self) -> int:
        self.max_entries = max(self.max_entries, mmap.PAGESIZE)
        return self.max_entries

    def _opened(self) -> None:
        self._consumer = RingConsumer(self.fd, self.max_entries)

    def _reader(self, method: str) -> RingConsumer:
        self._need(method)
        assert self._consumer is not None
        return self._consumer

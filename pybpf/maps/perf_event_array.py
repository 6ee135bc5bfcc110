"""BPF_MAP_TYPE_PERF_EVENT_ARRAY (Linux 4.3): a ring per CPU, for kernels without the ring buffer (before 5.8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, TypeVar

from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.cpus import possible_cpus
from pybpf.kernel.map_ops import map_update
from pybpf.maps.base import Map
from pybpf.perfbuf import PerfConsumer
from pybpf.types import pack, u32

T = TypeVar("T")


class PerfEventArray(Map):
    """Output events, one a CPU; ``pages`` of data each, a power of two. ``wakeup_events``: wake every n-th record.

    Records of one CPU keep their order; between CPUs there is none. What a full ring drops, the kernel counts:
    ``lost``. A record's data is padded with up to 7 zero bytes.
    """

    map_type = MapType.PERF_EVENT_ARRAY

    def __init__(self, *, pages: int = 64, wakeup_events: int = 1, flags: MapFlag | int = 0, name: str = "") -> None:
        if pages < 1 or pages & (pages - 1):
            raise ValueError(f"the pages of a perf buffer are a power of two, not {pages}")
        super().__init__(key=u32, value=u32, max_entries=0, flags=flags, name=name)  # type: ignore[arg-type]
        self.pages = pages
        self.wakeup_events = wakeup_events
        self._consumer: PerfConsumer | None = None

    def output(self, ctx: object, value: object, size: int | None = None) -> int:
        """In a program: copy a record to this CPU's ring; 0, or a negative error number when it is full."""
        raise self._only_in_programs("output")

    def poll(self, timeout_s: float | None = None) -> bool:
        """Wait until something is in a ring (None: for ever); False when the time is over."""
        return self._reader("poll").poll(timeout_s)

    def consume(self, callback: Callable[[memoryview], object], limit: int | None = None) -> int:
        """Give each record that is there to ``callback``; see :meth:`pybpf.perfbuf.PerfConsumer.consume`."""
        return self._reader("consume").consume(callback, limit)

    def read(self, kind: type[T], timeout: float | None = None) -> Iterator[T]:
        """The records as ``kind``, until none came for ``timeout`` seconds (None: for ever)."""
        return self._reader("read").read(kind, timeout)

    def pending(self) -> int:
        """Bytes in the rings, headers included."""
        return self._reader("pending").pending()

    @property
    def lost(self) -> int:
        """Records dropped so far because a ring was full, as far as the kernel has reported them."""
        return self._reader("lost").lost

    def close(self) -> None:
        """Close the rings and give up the kernel object."""
        if self._consumer is not None:
            self._consumer.close()
        super().close()

    def _kernel_entries(self) -> int:
        self.max_entries = self.max_entries or max(possible_cpus()) + 1
        return self.max_entries

    def _opened(self) -> None:
        self._consumer = PerfConsumer(pages=self.pages, wakeup_events=self.wakeup_events)
        for cpu, number in self._consumer.event_filenos().items():
            map_update(self.fd, pack(u32, cpu), pack(u32, number))

    def _reader(self, method: str) -> PerfConsumer:
        self._need(method)
        assert self._consumer is not None
        return self._consumer

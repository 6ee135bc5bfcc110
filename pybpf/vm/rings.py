"""Ring buffers and perf buffers in Python: what programs submit, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

from pybpf.types import unpack
from pybpf.vm.maps import VmMap

if TYPE_CHECKING:
    from pybpf.vm.memory import Memory, Region

T = TypeVar("T")

HEADER_SIZE = 8


@dataclass(frozen=True)
class Reserved:
    """A record a program has reserved and not yet submitted or discarded."""

    ring: VmRing
    region: Region

    def finish(self, *, keep: bool) -> None:
        """Submit it (``keep``) or discard it."""
        self.ring.memory.remove(self.region)
        self.ring.reserved -= _space(len(self.region.data))
        self.ring.append(bytes(self.region.data), discarded=not keep)

    def abandon(self) -> None:
        """Give it back after a fault."""
        self.finish(keep=False)


class VmRing(VmMap):
    """A ring of ``size`` bytes; ``lost`` counts what did not fit. As in the kernel it is never filled to the last byte,
    and what was discarded takes its room until a reader has passed it.
    """

    def __init__(self, memory: Memory, name: str, size: int) -> None:
        super().__init__(memory, name)
        self.size = size
        self._queue: deque[tuple[bytes, bool]] = deque()
        self.reserved = 0
        self.lost = 0
        self._used = 0

    def reserve(self, size: int) -> Reserved | None:
        """Room for a record, zeros at first; None when the ring is full."""
        if not self._fits(size):
            self.lost += 1
            return None
        self.reserved += _space(size)
        return Reserved(self, self.memory.add(bytearray(size), f"record of {self.name}"))

    def output(self, data: bytes) -> bool:
        """Append a finished record; False when the ring is full."""
        if not self._fits(len(data)):
            self.lost += 1
            return False
        self.append(data)
        return True

    def append(self, data: bytes, *, discarded: bool = False) -> None:
        """Put a finished record where readers find it."""
        self._queue.append((data, discarded))
        self._used += _space(len(data))

    @property
    def records(self) -> list[bytes]:
        """The finished records that nobody has read."""
        return [data for data, discarded in self._queue if not discarded]

    def poll(self, timeout_s: float | None = None) -> bool:
        """Whether there is something to read; nothing to wait for, as programs run only when called."""
        return bool(self.records)

    def consume(self, callback: Callable[[memoryview], object], limit: int | None = None) -> int:
        """Give each record to ``callback``; how many."""
        count = 0
        taken = self._taken()
        while limit is None or count < limit:
            data = next(taken, None)
            if data is None:
                break
            count += 1
            with memoryview(data) as view:
                callback(view)
        return count

    def read(self, kind: type[T], timeout: float | None = None) -> Iterator[T]:
        """The records there are, as ``kind``."""
        decode = cast("Callable[[Any, bytes], T]", unpack)
        return (decode(kind, data) for data in self._taken())

    def pending(self) -> int:
        """Bytes in the ring, headers included."""
        return self._used

    def _fits(self, size: int) -> bool:
        return self._used + self.reserved + _space(size) < self.size

    def _taken(self) -> Iterator[bytes]:
        while self._queue:
            data, discarded = self._queue.popleft()
            self._used -= _space(len(data))
            if not discarded:
                yield data


def _space(size: int) -> int:
    return size + HEADER_SIZE + 7 & ~7

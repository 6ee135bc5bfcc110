"""The memory a program sees: regions at made-up addresses, each with nothing on either side of it.

The address space is cut into windows of 256 MiB. A region starts at the beginning of a window and the windows beside it
stay empty, so an access that leaves a region finds nothing, and whoever asks can say which region it left. Two windows
are kept for packets: below 4 GiB, where the 32-bit pointers of ``struct __sk_buff`` and ``struct xdp_md`` reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from pybpf.vm.fault import FaultKind, Trap

WINDOW_BITS = 28
WINDOW = 1 << WINDOW_BITS
OFFSET_MASK = WINDOW - 1
NULL_PAGE = 4096
STACK = "stack"
_LOW = (1, 3)

Buffer = Union[bytes, bytearray]


@dataclass(frozen=True)
class Region:
    """``data`` at ``address``; of type bytes when programs may only read it. ``name`` is for messages."""

    address: int
    data: Buffer
    name: str

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.address + len(self.data)


class Memory:
    """Regions by address. ``windows`` (window number -> bytes) is what compiled loads and stores look into."""

    def __init__(self) -> None:
        self.windows: dict[int, Buffer] = {}
        self._regions: dict[int, Region] = {}
        self._next = _LOW[-1] + 2
        self._free: list[int] = []
        self._low = list(_LOW)

    def add(self, data: Buffer, name: str, *, low: bool = False) -> Region:
        """A new region around ``data``, which is not copied; ``low``: below 4 GiB, as a packet is.

        Raises:
            ValueError: more than 256 MiB.
        """
        if len(data) >= WINDOW:
            raise ValueError(f"a region has less than {WINDOW} bytes, not {len(data)}")
        if low and self._low:
            number = self._low.pop()
        elif self._free:
            number = self._free.pop()
        else:
            number, self._next = self._next, self._next + 2
        region = Region(number << WINDOW_BITS, data, name)
        self._regions[number] = region
        self.windows[number] = data
        return region

    def remove(self, region: Region) -> None:
        """Take a region away: its address means nothing any more."""
        number = region.address >> WINDOW_BITS
        del self._regions[number], self.windows[number]
        (self._low if number in _LOW else self._free).append(number)

    def region_at(self, address: int) -> Region | None:
        """The region that starts in the window of ``address``, whether or not it reaches that far."""
        return self._regions.get(address >> WINDOW_BITS)

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes. Raises Trap when they do not lie within one region."""
        region = self._need(address, size)
        start = address & OFFSET_MASK
        return bytes(region.data[start : start + size])

    def write(self, address: int, data: Buffer) -> None:
        """Store ``data``. Raises Trap when it does not fit one region or the region is read-only."""
        region = self._need(address, len(data))
        if not isinstance(region.data, bytearray):
            raise self.explain(address, len(data), write=True)
        start = address & OFFSET_MASK
        region.data[start : start + len(data)] = data

    def require(self, address: int, size: int) -> None:
        """Raises Trap unless ``size`` bytes can be written; what allocates asks first."""
        if not isinstance(self._need(address, size).data, bytearray):
            raise self.explain(address, size, write=True)

    def _need(self, address: int, size: int) -> Region:
        region = self.region_at(address)
        if region is None or address + size > region.end:
            raise self.explain(address, size)
        return region

    def explain(self, address: int, size: int, *, write: bool = False) -> Trap:
        """Why ``size`` bytes at ``address`` cannot be had."""
        shown = f"{size} bytes at {address:#x}"
        if address < NULL_PAGE:
            return Trap(FaultKind.NULL_POINTER, shown, address)
        region = self.region_at(address)
        if region is not None:
            if write and address + size <= region.end:
                return Trap(FaultKind.READ_ONLY, f"{shown}, in {region.name}", address)
            where = f"{shown}: {address - region.address} bytes into {region.name} of {len(region.data)}"
            return Trap(FaultKind.OUT_OF_BOUNDS, where, address)
        above = self._regions.get((address >> WINDOW_BITS) + 1)
        if above is not None:
            kind = FaultKind.STACK_OVERFLOW if above.name == STACK else FaultKind.OUT_OF_BOUNDS
            return Trap(kind, f"{shown}: {above.address - address} bytes before {above.name}", address)
        return Trap(FaultKind.UNMAPPED, shown, address)

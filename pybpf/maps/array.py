"""BPF_MAP_TYPE_ARRAY (Linux 3.19)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.map_ops import map_update
from pybpf.maps.keyed import KeyedMap
from pybpf.types import u32

V = TypeVar("V")


class Array(KeyedMap[int, V]):
    """``max_entries`` values, by index from 0; all exist from the start, as zeros, and none can be deleted (EINVAL)."""

    map_type = MapType.ARRAY

    def __init__(self, *, value: type[V], max_entries: int, flags: MapFlag | int = 0, name: str = "") -> None:
        super().__init__(key=u32, value=value, max_entries=max_entries, flags=flags, name=name)

    def clear(self) -> None:
        """Set every value to zeros."""
        fd, zeros = self._need("clear"), bytes(self._stored_size())
        for index in range(self.max_entries):
            map_update(fd, self._pack_key(index), zeros)

    def drain(self) -> Iterator[tuple[int, V]]:
        """Every value, each set to zeros after it was read; a write between the two is lost."""
        fd, zeros = self._need("drain"), bytes(self._stored_size())
        for index, value in self.items():
            map_update(fd, self._pack_key(index), zeros)
            yield index, value

    def __len__(self) -> int:
        return self.max_entries

"""BPF_MAP_TYPE_BLOOM_FILTER (Linux 5.16): a set that answers "not in it" for sure and "in it" probably."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.map_ops import map_contains, map_update
from pybpf.maps.base import Map
from pybpf.types import pack

if TYPE_CHECKING:
    from pybpf.types import BpfType

V = TypeVar("V")


class BloomFilter(Map, Generic[V]):
    """A bloom filter laid out for ``max_entries`` values and ``hashes`` hash functions (1 to 15).

    Values only go in. With as many values as declared and 5 hashes about 1 answer in 100 is wrong.
    """

    map_type = MapType.BLOOM_FILTER
    value: BpfType

    def __init__(
        self, *, value: type[V], max_entries: int, hashes: int = 5, flags: MapFlag | int = 0, name: str = ""
    ) -> None:
        if not 1 <= hashes <= 15:
            raise ValueError(f"a bloom filter has 1 to 15 hash functions, not {hashes}")
        super().__init__(key=None, value=cast("BpfType", value), max_entries=max_entries, flags=flags, name=name)
        self.hashes = hashes

    def push(self, value: V) -> int:
        """Put a value in. Gives 0; inside a program a negative error number instead of an exception."""
        map_update(self._need("push"), b"", pack(self.value, value))
        return 0

    def peek(self, value: V) -> bool:
        """False: it was never put in. True: it probably was. (In a program the same.)"""
        return map_contains(self._need("peek"), pack(self.value, value))

    def __contains__(self, value: Any) -> bool:
        return self.peek(value)

    def _extra(self) -> int:
        return self.hashes

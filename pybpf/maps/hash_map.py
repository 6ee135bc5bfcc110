"""BPF_MAP_TYPE_HASH (Linux 3.19) and its LRU form (4.10)."""

from __future__ import annotations

from typing import TypeVar

from pybpf.errors import KernelError
from pybpf.kernel.constants import MapType
from pybpf.kernel.map_ops import NO_BATCHES, map_delete, map_lookup, map_lookup_and_delete
from pybpf.maps.keyed import KeyedMap

K = TypeVar("K")
V = TypeVar("V")


class _Takeable(KeyedMap[K, V]):
    """What hash tables with one value an element can do."""

    def take(self, key: K) -> V | None:
        """Look up and delete in one step (5.14); elsewhere in two, where a write between them is lost. Or None."""
        fd, packed = self._need("take"), self._pack_key(key)
        try:
            found = map_lookup_and_delete(fd, packed, self._stored_size())
        except KernelError as error:
            if error.errno not in NO_BATCHES:
                raise
            found = map_lookup(fd, packed, self._stored_size())
            if found is not None:
                map_delete(fd, packed)
        return None if found is None else self._unpack_value(found)


class HashMap(_Takeable[K, V]):
    """A hash table, all of it allocated at the start unless ``flags`` has NO_PREALLOC.

    A full one refuses new keys (E2BIG).
    """

    map_type = MapType.HASH


class LruHashMap(_Takeable[K, V]):
    """A hash table that drops the least recently used elements when it is full (4.10).

    What is dropped is approximate (the kernel keeps lists per CPU), and may begin before every slot is in use.
    """

    map_type = MapType.LRU_HASH

"""BPF_MAP_TYPE_HASH (Linux 3.19) and its LRU form (4.10)."""

from __future__ import annotations

from typing import TypeVar

from pybpf.kernel.constants import MapType
from pybpf.maps.keyed import KeyedMap

K = TypeVar("K")
V = TypeVar("V")


class HashMap(KeyedMap[K, V]):
    """A hash table, all of it allocated at the start unless ``flags`` has NO_PREALLOC.

    A full one refuses new keys (E2BIG).
    """

    map_type = MapType.HASH


class LruHashMap(KeyedMap[K, V]):
    """A hash table that drops the least recently used elements when it is full (4.10).

    What is dropped is approximate (the kernel keeps lists per CPU), and may begin before every slot is in use.
    """

    map_type = MapType.LRU_HASH

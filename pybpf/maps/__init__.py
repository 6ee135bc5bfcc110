"""Maps: where programs keep data between events and share them with Python. One module a kind."""

from pybpf.maps.array import Array
from pybpf.maps.base import Map
from pybpf.maps.hash_map import HashMap, LruHashMap
from pybpf.maps.keyed import KeyedMap
from pybpf.maps.per_cpu import PerCpuArray, PerCpuHashMap
from pybpf.maps.perf_event_array import PerfEventArray
from pybpf.maps.ring_buffer import RingBuffer

__all__ = [
    "Array",
    "HashMap",
    "KeyedMap",
    "LruHashMap",
    "Map",
    "PerCpuArray",
    "PerCpuHashMap",
    "PerfEventArray",
    "RingBuffer",
]

"""Maps: where programs keep data between events and share them with Python. One module a kind."""

from pybpf.maps.arena import Arena
from pybpf.maps.array import Array
from pybpf.maps.base import Map
from pybpf.maps.bloom_filter import BloomFilter
from pybpf.maps.hash_map import HashMap, LruHashMap
from pybpf.maps.keyed import KeyedMap
from pybpf.maps.local_storage import CgroupStorage, InodeStorage, SkStorage, TaskStorage
from pybpf.maps.lpm_trie import Ipv4Prefix, Ipv6Prefix, LpmTrie
from pybpf.maps.map_of_maps import ArrayOfMaps, HashOfMaps
from pybpf.maps.mapped_array import MappedArray
from pybpf.maps.per_cpu import LruPerCpuHashMap, PerCpuArray, PerCpuHashMap
from pybpf.maps.perf_event_array import PerfEventArray
from pybpf.maps.program_array import ProgramArray
from pybpf.maps.queue import Queue
from pybpf.maps.ring_buffer import RingBuffer
from pybpf.maps.stack import Stack
from pybpf.maps.user_ring_buffer import UserRingBuffer

__all__ = [
    "Arena",
    "Array",
    "ArrayOfMaps",
    "BloomFilter",
    "CgroupStorage",
    "HashMap",
    "HashOfMaps",
    "InodeStorage",
    "Ipv4Prefix",
    "Ipv6Prefix",
    "KeyedMap",
    "LpmTrie",
    "LruHashMap",
    "LruPerCpuHashMap",
    "Map",
    "MappedArray",
    "PerCpuArray",
    "PerCpuHashMap",
    "PerfEventArray",
    "ProgramArray",
    "Queue",
    "RingBuffer",
    "SkStorage",
    "Stack",
    "TaskStorage",
    "UserRingBuffer",
]

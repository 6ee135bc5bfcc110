"""BPF_MAP_TYPE_PERCPU_HASH and PERCPU_ARRAY (Linux 4.6), LRU_PERCPU_HASH (4.10).

A value for each possible CPU, so programs need no atomics.
Inside a program a look-up gives the value of the CPU it runs on. Python sees all of them: ``per_cpu(key)`` gives a list
with one value for each possible CPU, in the order of their numbers, and ``total(key)`` the sum of integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, cast

from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.cpus import possible_cpus
from pybpf.kernel.map_ops import map_update
from pybpf.maps.keyed import KeyedMap
from pybpf.types import Scalar, pack, u32, unpack

K = TypeVar("K")
V = TypeVar("V")


class _PerCpuMap(KeyedMap[K, "list[V]"], Generic[K, V]):
    """Lists of values on this side of the system call; each is rounded up to 8 bytes on its way."""

    def __init__(
        self, *, key: type[K], value: type[V], max_entries: int, flags: MapFlag | int = 0, name: str = ""
    ) -> None:
        super().__init__(key=key, value=cast("type[list[V]]", value), max_entries=max_entries, flags=flags, name=name)

    def lookup(self, key: K) -> V | None:  # type: ignore[override]  # one value inside of programs, many outside
        """In a program: this CPU's value, or None. Python reads :meth:`per_cpu`."""
        raise self._only_in_programs("lookup")

    def __getitem__(self, key: K) -> V:  # type: ignore[override]  # as for lookup
        raise self._only_in_programs("[]")

    def __setitem__(self, key: K, value: V) -> None:  # type: ignore[override]  # as for lookup
        raise self._only_in_programs("[]")

    def per_cpu(self, key: K) -> list[V] | None:
        """The values at ``key``, one for each possible CPU; None when there is no element."""
        return super().lookup(key)

    def total(self, key: K) -> int:
        """The sum over all CPUs of an integer value; 0 when there is no element. TypeError for other values."""
        if not isinstance(self.value, Scalar):
            raise TypeError(f"{self!r} holds no integers to sum")
        values = self.per_cpu(key)
        return sum(cast("list[int]", values)) if values is not None else 0

    def _step(self) -> int:
        return -(-self.value_size // 8) * 8

    def _stored_size(self) -> int:
        return self._step() * len(possible_cpus())

    def _pack_value(self, value: list[V]) -> bytes:
        if len(value) != len(possible_cpus()):
            raise ValueError(f"{len(value)} values for {len(possible_cpus())} possible CPUs")
        return b"".join(pack(self.value, one).ljust(self._step(), b"\0") for one in value)

    def _unpack_value(self, data: bytes) -> list[V]:
        return [unpack(self.value, data, start) for start in range(0, len(data), self._step())]


class PerCpuHashMap(_PerCpuMap[K, V]):
    """A hash table with a value per CPU."""

    map_type = MapType.PERCPU_HASH


class LruPerCpuHashMap(_PerCpuMap[K, V]):
    """A hash table with a value per CPU that drops the least recently used elements when it is full (4.10)."""

    map_type = MapType.LRU_PERCPU_HASH


class PerCpuArray(_PerCpuMap[int, V]):
    """An array with a value per CPU; all exist from the start, as zeros, and none can be deleted (EINVAL)."""

    map_type = MapType.PERCPU_ARRAY

    def __init__(self, *, value: type[V], max_entries: int, flags: MapFlag | int = 0, name: str = "") -> None:
        super().__init__(key=u32, value=value, max_entries=max_entries, flags=flags, name=name)

    def clear(self) -> None:
        """Set every value to zeros."""
        fd, zeros = self._need("clear"), bytes(self._stored_size())
        for index in range(self.max_entries):
            map_update(fd, self._pack_key(index), zeros)

    def drain(self) -> Iterator[tuple[int, list[V]]]:
        """Every element, each set to zeros after it was read; a write between the two is lost."""
        fd, zeros = self._need("drain"), bytes(self._stored_size())
        for index, value in self.items():
            map_update(fd, self._pack_key(index), zeros)
            yield index, value

    def __len__(self) -> int:
        return self.max_entries

"""Maps in Python: what programs here use, with the methods of a live map.

Each element is a region of its own, so that an access past its end is noticed. Elements of arrays are made when they
are first touched. What :meth:`VmMap.lookup` gives is a copy, as with the kernel's maps.
"""

from __future__ import annotations

import errno
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable

from pybpf.errors import KernelError
from pybpf.kernel.constants import MapType, UpdateFlag
from pybpf.types import Scalar, pack, sizeof, unpack
from pybpf.vm.fault import FaultKind, Trap

if TYPE_CHECKING:
    from pybpf.types import BpfType
    from pybpf.vm.memory import Memory, Region

PER_CPU = (MapType.PERCPU_ARRAY, MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH)
ARRAYS = (MapType.ARRAY, MapType.PERCPU_ARRAY)
TABLES = (MapType.HASH, MapType.LRU_HASH, MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH)
FORGETTING = (MapType.LRU_HASH, MapType.LRU_PERCPU_HASH)


class VmMap:
    """What programs get the address of: ``handle`` is it. Kinds derive from this."""

    def __init__(self, memory: Memory, name: str) -> None:
        self.memory = memory
        self.name = name
        self.handle: Region = memory.add(b"", f"map {name}")

    def value_address(self, offset: int) -> int:
        """The address ``offset`` bytes into the only element. Raises Trap."""
        raise Trap(FaultKind.BAD_ARGUMENT, f"{self.name} has no element to point into")


class KeyedVmMap(VmMap):
    """An array or a hash table; ``cpus`` is how many values an element of the per-CPU kinds has."""

    def __init__(
        self,
        memory: Memory,
        name: str,
        map_type: MapType,
        key: BpfType,
        value: BpfType,
        max_entries: int,
        *,
        cpus: int = 1,
    ) -> None:
        super().__init__(memory, name)
        self.map_type = map_type
        self.key = key
        self.value = value
        self.max_entries = max_entries
        self.key_size, self.value_size = sizeof(key), sizeof(value)
        self.cpus = cpus if map_type in PER_CPU else 1
        self._elements: OrderedDict[bytes, list[Region]] = OrderedDict()

    def value_address(self, offset: int) -> int:
        """The address ``offset`` bytes into element 0. Raises Trap."""
        if self.map_type is not MapType.ARRAY or offset >= self.value_size:
            raise Trap(FaultKind.BAD_ARGUMENT, f"{self.name} has no byte {offset} to point to")
        return self.element(bytes(self.key_size), 0) + offset

    # What helpers call: bytes and addresses, error numbers instead of exceptions.

    def element(self, key: bytes, cpu: int) -> int:
        """The address of the value at ``key``, 0 when there is none."""
        found = self._find(key)
        if found is None:
            if not self._exists(key):
                return 0
            found = self._new(key)
        elif self.map_type in FORGETTING:
            self._elements.move_to_end(key)
        return found[cpu % self.cpus].address

    def put(self, key: bytes, value: bytes, flags: int, cpu: int | None = None) -> int:
        """Store ``value`` for one CPU, or (None) as all of them in a row; 0 or a negative error number."""
        exists = key in self._elements or self._exists(key)
        if flags & ~UpdateFlag.EXIST & ~UpdateFlag.NOEXIST or flags == UpdateFlag.EXIST | UpdateFlag.NOEXIST:
            return -errno.EINVAL
        if self.map_type in ARRAYS and not exists:
            return -errno.E2BIG
        if exists and flags & UpdateFlag.NOEXIST:
            return -errno.EEXIST
        if not exists and flags & UpdateFlag.EXIST:
            return -errno.ENOENT
        if not exists and self.map_type not in ARRAYS and len(self._elements) >= self.max_entries:
            if self.map_type not in FORGETTING:
                return -errno.E2BIG
            self.drop(next(iter(self._elements)))
        regions = self._elements.get(key) or self._new(key)
        if cpu is not None:
            regions = [regions[cpu % self.cpus]]
        for number, region in enumerate(regions):
            start = number * self.value_size if len(value) > self.value_size else 0
            assert isinstance(region.data, bytearray)
            region.data[:] = value[start : start + self.value_size]
        return 0

    def drop(self, key: bytes) -> int:
        """Delete the element: 0 or a negative error number."""
        if self.map_type in ARRAYS:
            return -errno.EINVAL
        regions = self._elements.pop(key, None)
        if regions is None:
            return -errno.ENOENT
        for region in regions:
            self.memory.remove(region)
        return 0

    def raw_keys(self) -> list[bytes]:
        """The keys there are now."""
        if self.map_type in ARRAYS:
            return [pack(self.key, index) for index in range(self.max_entries)]
        return list(self._elements)

    def _find(self, key: bytes) -> list[Region] | None:
        """The element that a look-up of ``key`` gives."""
        return self._elements.get(key)

    def _exists(self, key: bytes) -> bool:
        return self.map_type in ARRAYS and int(unpack(self.key, key)) < self.max_entries

    def _new(self, key: bytes) -> list[Region]:
        name = f"value of {self.name}"
        regions = [self.memory.add(bytearray(self.value_size), name) for _ in range(self.cpus)]
        self._elements[key] = regions
        return regions

    # What Python calls: as a live map of pybpf.maps.

    def lookup(self, key: Any) -> Any:
        """A copy of the value at ``key``, or None."""
        found = self.per_cpu(key)
        return None if found is None else found[0]

    def per_cpu(self, key: Any) -> list[Any] | None:
        """The values at ``key``, one for each CPU; None when there is no element."""
        raw = pack(self.key, key)
        regions = self._find(raw)
        if regions is None:
            return [unpack(self.value, bytes(self.value_size))] * self.cpus if self._exists(raw) else None
        return [unpack(self.value, bytes(region.data)) for region in regions]

    def total(self, key: Any) -> int:
        """The sum over all CPUs; 0 when there is no element. TypeError when the values are no integers."""
        if not isinstance(self.value, Scalar):
            raise TypeError(f"map {self.name} holds no integers to sum")
        return sum(self.per_cpu(key) or ())

    def update(self, key: Any, value: Any, flags: int = 0) -> int:
        """Store ``value``, a list of values for per-CPU maps. KernelError as from the kernel's map."""
        values = value if self.map_type in PER_CPU else [value]
        if len(values) != self.cpus:
            raise ValueError(f"{len(values)} values for {self.cpus} CPUs")
        result = self.put(pack(self.key, key), b"".join(pack(self.value, one) for one in values), flags)
        if result:
            raise KernelError(f"update of map {self.name}", -result)
        return 0

    def delete(self, key: Any) -> bool:
        """Delete the element; False when there was none."""
        result = self.drop(pack(self.key, key))
        if result == -errno.EINVAL:
            raise KernelError(f"delete from map {self.name}", errno.EINVAL)
        return result == 0

    def keys(self) -> Iterator[Any]:
        """All keys."""
        return (unpack(self.key, raw) for raw in self.raw_keys())

    def items(self) -> Iterator[tuple[Any, Any]]:
        """All elements; the values of per-CPU maps are lists."""
        read: Callable[[Any], Any] = self.per_cpu if self.map_type in PER_CPU else self.lookup
        return ((key, read(key)) for key in self.keys())

    def values(self) -> Iterator[Any]:
        """All values."""
        return (value for _, value in self.items())

    def drain(self) -> Iterator[tuple[Any, Any]]:
        """Take all elements out; those of arrays become zeros."""
        for key, value in list(self.items()):
            self._forget(pack(self.key, key))
            yield key, value

    def clear(self) -> None:
        """Delete every element; those of arrays become zeros."""
        for raw in list(self._elements):
            self._forget(raw)

    def _forget(self, raw: bytes) -> None:
        for region in self._elements.pop(raw, ()):
            self.memory.remove(region)

    def __getitem__(self, key: Any) -> Any:
        value = self.lookup(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update(key, value)

    def __delitem__(self, key: Any) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: Any) -> bool:
        return self.per_cpu(key) is not None

    def __iter__(self) -> Iterator[Any]:
        return self.keys()

    def __len__(self) -> int:
        return self.max_entries if self.map_type in ARRAYS else len(self._elements)

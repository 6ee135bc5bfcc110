"""Maps as an object declares them, before they are created."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from pybpf.kernel.constants import MapFlag, MapType, UpdateFlag
from pybpf.kernel.map_ops import map_freeze, map_update
from pybpf.maps import (
    Array,
    HashMap,
    KeyedMap,
    LruHashMap,
    Map,
    PerCpuArray,
    PerCpuHashMap,
    PerfEventArray,
    RingBuffer,
)
from pybpf.objfile.c_types import raw_type

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd
    from pybpf.types import BpfType

_KEYED: dict[MapType, type[KeyedMap[Any, Any]]] = {
    MapType.HASH: HashMap,
    MapType.LRU_HASH: LruHashMap,
    MapType.PERCPU_HASH: PerCpuHashMap,
}
_ARRAYS: dict[MapType, Any] = {MapType.ARRAY: Array, MapType.PERCPU_ARRAY: PerCpuArray}

# Kinds for which the kernel takes no types of keys and values (libbpf.c, bpf_object__create_map).
_WITHOUT_TYPES = frozenset(
    (
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.STACK_TRACE,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.QUEUE,
        MapType.STACK,
        MapType.ARENA,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
    )
)


_NO_FLAGS = MapFlag(0)


@dataclass(frozen=True)
class MapSpec:
    """A map before it is created; ``replace(spec, max_entries=10)`` gives another one.

    ``key`` and ``value`` are types of :mod:`pybpf.types`, sizes are in bytes. ``contents`` is the initial value of a
    map of variables, ``frozen`` says that user space cannot change it later.
    """

    name: str
    type: MapType
    key_size: int = 0
    value_size: int = 0
    max_entries: int = 0
    flags: MapFlag = _NO_FLAGS
    key: BpfType | None = None
    value: BpfType | None = None
    key_type_id: int = 0
    value_type_id: int = 0
    contents: bytes | None = field(default=None, repr=False)
    frozen: bool = False
    extra: int = 0
    pinned: bool = False
    inner: MapSpec | None = None

    def __str__(self) -> str:
        sizes = f"{self.key_size} B key, {self.value_size} B value, {self.max_entries} entries"
        types = ", ".join(f"{what}={_name(kind)}" for what, kind in (("key", self.key), ("value", self.value)) if kind)
        flags = f", flags {self.flags:#x}" if self.flags else ""
        return f"{self.name}: {self.type.name}, {sizes}{flags}" + (f" ({types})" if types else "")

    def declaration(self) -> Map:
        """The inert map of :mod:`pybpf.maps` that this describes."""
        key, value = self.key or raw_type(self.key_size), self.value or raw_type(self.value_size)
        if self.type is MapType.RINGBUF:
            return RingBuffer(self.max_entries, flags=self.flags, name=self.name)
        if self.type is MapType.PERF_EVENT_ARRAY:
            return PerfEventArray(flags=self.flags, name=self.name)
        common: dict[str, Any] = {"max_entries": self.max_entries, "flags": self.flags, "name": self.name}
        if self.type in _ARRAYS:
            return cast("Map", _ARRAYS[self.type](value=value, **common))
        if key is None or value is None:
            return _plain_class(self.type)(key=key, value=value, **common)
        return _keyed_class(self.type)(key=cast("Any", key), value=cast("Any", value), **common)

    def create(self, btf_fd: OwnedFd | None = None) -> Map:
        """The live map, with its contents.

        Raises:
            KernelError, PermissionDenied: the kernel refused.
        """
        typed = btf_fd is not None and self.type not in _WITHOUT_TYPES and bool(self.value_type_id)
        live = self.declaration().create(
            btf_fd=btf_fd if typed else None,
            btf_key_type_id=self.key_type_id if typed else 0,
            btf_value_type_id=self.value_type_id if typed else 0,
        )
        try:
            if self.contents is not None:
                map_update(live.fd, bytes(4), self.contents, UpdateFlag.ANY)
            if self.frozen:
                map_freeze(live.fd)
        except BaseException:
            live.close()
            raise
        return live

    def resized(self, max_entries: int) -> MapSpec:
        """The same map with room for another number of elements (or bytes, for rings)."""
        return replace(self, max_entries=max_entries)


@functools.cache
def _keyed_class(kind: MapType) -> type[KeyedMap[Any, Any]]:
    """The class of maps of a kind; one made for it where :mod:`pybpf.maps` has none of its own."""
    made = type(f"{kind.name.title().replace('_', '')}Map", (KeyedMap,), {"map_type": kind})
    return _KEYED.get(kind) or cast("type[KeyedMap[Any, Any]]", made)


@functools.cache
def _plain_class(kind: MapType) -> type[Map]:
    return cast("type[Map]", type(f"{kind.name.title().replace('_', '')}Map", (Map,), {"map_type": kind}))


def _name(kind: object) -> str:
    return str(getattr(kind, "__name__", kind))

"""Maps as an object declares them, before they are created."""

from __future__ import annotations

import errno
import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from pybpf.errors import KernelError
from pybpf.kernel.constants import MapFlag, MapType, UpdateFlag
from pybpf.kernel.map_ops import map_freeze, map_update
from pybpf.maps import (
    Arena,
    Array,
    ArrayOfMaps,
    BloomFilter,
    CgroupStorage,
    HashMap,
    HashOfMaps,
    InodeStorage,
    KeyedMap,
    LpmTrie,
    LruHashMap,
    LruPerCpuHashMap,
    Map,
    PerCpuArray,
    PerCpuHashMap,
    PerfEventArray,
    ProgramArray,
    Queue,
    RingBuffer,
    SkStorage,
    Stack,
    TaskStorage,
    UserRingBuffer,
)
from pybpf.maps.type_info import TypeUse
from pybpf.objfile.c_types import raw_type
from pybpf.pins import open_map, pin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pybpf.kernel.fd import OwnedFd
    from pybpf.types import BpfType

_BY_SIZE: Mapping[MapType, Any] = {each.map_type: each for each in (RingBuffer, UserRingBuffer, Arena)}
_BY_VALUE: Mapping[MapType, Any] = {each.map_type: each for each in (Array, PerCpuArray, Queue, Stack)}
_STORAGE: Mapping[MapType, Any] = {
    each.map_type: each for each in (TaskStorage, InodeStorage, SkStorage, CgroupStorage)
}
_KEYED: Mapping[MapType, Any] = {
    each.map_type: each for each in (HashMap, LruHashMap, PerCpuHashMap, LruPerCpuHashMap, LpmTrie)
}

_NO_FLAGS = MapFlag(0)


@dataclass(frozen=True)
class MapSpec:
    """A map before it is created; ``replace(spec, max_entries=10)`` gives another one.

    ``key`` and ``value`` are types of :mod:`pybpf.types`, sizes are in bytes. ``contents`` is the initial value of a
    map of variables, ``frozen`` says that user space cannot change it later. ``values`` are the maps or programs, by
    name, that a map of such holds from the start.
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
    values: Mapping[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        sizes = f"{self.key_size} B key, {self.value_size} B value, {self.max_entries} entries"
        types = ", ".join(f"{what}={_name(kind)}" for what, kind in (("key", self.key), ("value", self.value)) if kind)
        flags = f", flags {self.flags:#x}" if self.flags else ""
        return f"{self.name}: {self.type.name}, {sizes}{flags}" + (f" ({types})" if types else "")

    def declaration(self) -> Map:
        """The inert map of :mod:`pybpf.maps` that this describes.

        Raises:
            ValueError, TypeError: its kind cannot be declared like that.
        """
        return cast("Map", self._declaration())

    def _declaration(self) -> Any:
        kind = self.type
        named: dict[str, Any] = {"flags": self.flags, "name": self.name}
        key, value = self.key or raw_type(self.key_size), self.value or raw_type(self.value_size)
        sized: dict[str, Any] = {"max_entries": self.max_entries, **named}
        if kind in _BY_SIZE:
            return _BY_SIZE[kind](self.max_entries, **named)
        if kind is MapType.PERF_EVENT_ARRAY:
            return PerfEventArray(**named)
        if kind is MapType.PROG_ARRAY:
            return ProgramArray(**sized)
        if kind is MapType.ARRAY_OF_MAPS and self.inner is not None:
            return ArrayOfMaps(inner=self.inner.declaration(), **sized)
        if kind is MapType.HASH_OF_MAPS and self.inner is not None:
            return HashOfMaps(key=cast("Any", key), inner=self.inner.declaration(), **sized)
        if kind in _BY_VALUE:
            return _BY_VALUE[kind](value=value, **sized)
        if kind is MapType.BLOOM_FILTER:
            return BloomFilter(value=cast("Any", value), hashes=self.extra or 5, **sized)
        if kind in _STORAGE:
            return _STORAGE[kind](value=value, **named)
        made = _KEYED.get(kind) or _class_for(kind, keyed=key is not None and value is not None)
        return made(key=key, value=value, **sized)

    def create(self, btf_fd: OwnedFd | None = None) -> Map:
        """The live map, with its contents.

        Raises:
            KernelError, PermissionDenied: the kernel refused.
        """
        declared = self.declaration()
        typed = btf_fd is not None and declared.type_use is not TypeUse.NONE and bool(self.value_type_id)
        live = declared.create(
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

    def shared(self, path: Path, btf_fd: OwnedFd | None = None) -> Map:
        """The map that is pinned at ``path``, or a new one that is pinned there.

        Raises:
            WrongPin, IncompatibleMap: something else is pinned there.
            KernelError, PermissionDenied: the kernel refused.
        """
        try:
            return open_map(self.declaration(), path)
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise
        live = self.create(btf_fd)
        try:
            pin(live, path)
        except BaseException:
            live.close()
            raise
        return live

    def resized(self, max_entries: int) -> MapSpec:
        """The same map with room for another number of elements (or bytes, for rings)."""
        return replace(self, max_entries=max_entries)


@functools.cache
def _class_for(kind: MapType, *, keyed: bool) -> type[Map]:
    """A class made for a kind of map of which :mod:`pybpf.maps` has none."""
    name = f"{kind.name.title().replace('_', '')}Map"
    return cast("type[Map]", type(name, (KeyedMap if keyed else Map,), {"map_type": kind}))


def _name(kind: object) -> str:
    return str(getattr(kind, "__name__", kind))

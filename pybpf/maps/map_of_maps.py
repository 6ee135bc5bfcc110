"""BPF_MAP_TYPE_ARRAY_OF_MAPS and HASH_OF_MAPS (Linux 4.12): maps as values, exchanged while programs run."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

from pybpf.errors import KernelError
from pybpf.kernel.constants import MapFlag, MapType, UpdateFlag
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.info import map_by_id
from pybpf.kernel.map_ops import map_delete, map_keys, map_lookup, map_update
from pybpf.maps.base import Map
from pybpf.types import BpfType, pack, u32, unpack

K = TypeVar("K")
M = TypeVar("M", bound=Map)


class _MapOfMaps(Map, Generic[K, M]):
    """Keys on the outside, maps like ``inner`` inside. A program looks one up and uses it like any other."""

    key: BpfType

    def __init__(self, *, key: type[K], inner: M, max_entries: int, flags: MapFlag | int = 0, name: str = "") -> None:
        super().__init__(
            key=cast("BpfType", key), value=cast("BpfType", u32), max_entries=max_entries, flags=flags, name=name
        )
        self.inner = inner

    def update(self, key: K, value: M, flags: UpdateFlag = UpdateFlag.ANY) -> None:
        """Put a live map in; it may be closed afterwards.

        Returns when no program uses the one that was there before any more: an RCU grace period, some milliseconds.

        Raises:
            KernelError: EINVAL, the map is not like ``inner`` (kind, sizes, flags; arrays also in their number of
                elements, unless ``inner`` has MapFlag.INNER_MAP, 5.10).
        """
        map_update(self._need("update"), pack(self.key, key), pack(u32, value.fileno()), flags)

    def lookup(self, key: K) -> M | None:
        """The map at ``key``, live: the caller closes it. None when there is none. Needs CAP_SYS_ADMIN."""
        found = self.map_id(key)
        if found is None:
            return None
        try:
            fd = map_by_id(found)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return None  # gone since
            raise
        try:
            return self.inner.adopt(fd)
        except BaseException:
            fd.close()
            raise

    def map_id(self, key: K) -> int | None:
        """The id of the map at ``key``; None when there is none."""
        found = map_lookup(self._need("map_id"), pack(self.key, key), 4)
        return None if found is None else cast("int", unpack(cast("BpfType", u32), found)) or None

    def delete(self, key: K) -> bool:
        """Take the map at ``key`` out; False when there was none."""
        return map_delete(self._need("delete"), pack(self.key, key))

    def keys(self) -> Iterator[K]:
        """The keys that have a map."""
        for raw in list(map_keys(self._need("keys"), self.key_size, 2 * self.max_entries)):
            key: K = unpack(self.key, raw)
            if self.map_id(key) is not None:
                yield key

    def __setitem__(self, key: K, value: M) -> None:
        self.update(key, value)

    def __delitem__(self, key: K) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: K) -> bool:
        return self.map_id(key) is not None

    def _inner_pattern(self, token: OwnedFd | None) -> Map | None:
        return self.inner.create(token=token)


class ArrayOfMaps(_MapOfMaps[int, M]):
    """Maps by index; an index may be empty."""

    map_type = MapType.ARRAY_OF_MAPS

    def __init__(self, *, inner: M, max_entries: int, flags: MapFlag | int = 0, name: str = "") -> None:
        super().__init__(key=u32, inner=inner, max_entries=max_entries, flags=flags, name=name)


class HashOfMaps(_MapOfMaps[K, M]):
    """Maps by key."""

    map_type = MapType.HASH_OF_MAPS

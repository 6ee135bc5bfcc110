"""Maps with keys and values, typed on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pybpf.errors import KernelError
from pybpf.kernel.constants import MapFlag, UpdateFlag
from pybpf.kernel.map_batches import map_delete_batch, map_update_batch
from pybpf.kernel.map_ops import NO_BATCHES, map_batch, map_delete, map_lookup, map_pairs, map_update
from pybpf.maps.base import Map
from pybpf.maps.type_info import TypeUse
from pybpf.types import pack, unpack

if TYPE_CHECKING:
    from pybpf.types import BpfType

K = TypeVar("K")
V = TypeVar("V")


class KeyedMap(Map, Generic[K, V]):
    """A map from keys ``K`` to values ``V``: Python integers for scalars, instances for Structs.

    What a look-up gives in Python is a copy; inside a program it is the element itself.
    """

    type_use = TypeUse.OPTIONAL
    key: BpfType
    value: BpfType

    def __init__(
        self, *, key: type[K], value: type[V], max_entries: int, flags: MapFlag | int = 0, name: str = ""
    ) -> None:
        super().__init__(
            key=cast("BpfType", key), value=cast("BpfType", value), max_entries=max_entries, flags=flags, name=name
        )

    def lookup(self, key: K) -> V | None:
        """The value at ``key``, or None."""
        found = map_lookup(self._need("lookup"), self._pack_key(key), self._stored_size())
        return None if found is None else self._unpack_value(found)

    def update(self, key: K, value: V, flags: UpdateFlag = UpdateFlag.ANY) -> int:
        """Store ``value``; KernelError with EEXIST (NOEXIST), ENOENT (EXIST) or E2BIG (the map is full).

        Gives 0; inside a program a negative error number instead of an exception.
        """
        map_update(self._need("update"), self._pack_key(key), self._pack_value(value), flags)
        return 0

    def delete(self, key: K) -> bool:
        """Delete the element; False when there was none."""
        return map_delete(self._need("delete"), self._pack_key(key))

    def update_many(self, elements: Iterable[tuple[K, V]], flags: UpdateFlag = UpdateFlag.ANY) -> None:
        """Store all of ``elements``: by one call (5.6), one by one elsewhere; errors as of :meth:`update`."""
        fd = self._need("update_many")
        map_update_batch(fd, [(self._pack_key(key), self._pack_value(value)) for key, value in elements], flags)

    def delete_many(self, keys: Iterable[K]) -> int:
        """Delete the elements at ``keys``, by one call where the kernel can (5.6); how many there were."""
        return map_delete_batch(self._need("delete_many"), [self._pack_key(key) for key in keys])

    def items(self) -> Iterator[tuple[K, V]]:
        """All elements; while programs write, one that comes or goes meanwhile may or may not be among them.

        In batches where the kernel has them (5.6), key by key elsewhere.
        """
        fd = self._need("items")
        for key, value in map_pairs(fd, self.key_size, self._stored_size(), self._walk_limit()):
            yield self._unpack_key(key), self._unpack_value(value)

    def keys(self) -> Iterator[K]:
        """All keys, as :meth:`items` gives them."""
        return (key for key, _ in self.items())

    def values(self) -> Iterator[V]:
        """All values, as :meth:`items` gives them."""
        return (value for _, value in self.items())

    def drain(self) -> Iterator[tuple[K, V]]:
        """Take all elements out: an update that comes later starts a new element.

        In batches, each element read and deleted in one step (5.6); key by key elsewhere, where a write between the
        two is lost. A program that holds an element at that moment may still write to it unseen.
        """
        fd = self._need("drain")
        try:
            for key, value in map_batch(fd, self.key_size, self._stored_size(), self._walk_limit(), take=True):
                yield self._unpack_key(key), self._unpack_value(value)
            return
        except KernelError as error:
            if error.errno not in NO_BATCHES:
                raise
        for raw_key, value in list(map_pairs(fd, self.key_size, self._stored_size(), self._walk_limit())):
            if map_delete(fd, raw_key):
                yield self._unpack_key(raw_key), self._unpack_value(value)

    def clear(self) -> None:
        """Delete every element that is there now."""
        self._need("clear")
        for _ in self.drain():
            pass

    def __getitem__(self, key: K) -> V:
        value = self.lookup(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self.update(key, value)

    def __delitem__(self, key: K) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: K) -> bool:
        return map_lookup(self._need("lookup"), self._pack_key(key), self._stored_size()) is not None

    def __iter__(self) -> Iterator[K]:
        return self.keys()

    def _pack_key(self, key: K) -> bytes:
        return pack(self.key, key)

    def _unpack_key(self, data: bytes) -> K:
        key: K = unpack(self.key, data)
        return key

    def _pack_value(self, value: V) -> bytes:
        return pack(self.value, value)

    def _unpack_value(self, data: bytes) -> V:
        value: V = unpack(self.value, data)
        return value

    def _stored_size(self) -> int:
        """Bytes of a value as system calls carry it."""
        return self.value_size

    def _walk_limit(self) -> int:
        return 2 * self.max_entries

"""Local storage: a value that hangs on a task, an inode, a socket or a cgroup, and goes with it.

BPF_MAP_TYPE_SK_STORAGE (Linux 5.2), INODE_STORAGE (5.10), TASK_STORAGE (5.11), CGRP_STORAGE (6.2). Faster than a hash
by id in programs, and nothing is left behind when the owner ends. They have no number of elements and no walk.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, Union, cast

from pybpf.errors import KernelError
from pybpf.kernel.constants import MapFlag, MapType, UpdateFlag
from pybpf.kernel.map_ops import map_delete, map_lookup, map_update
from pybpf.maps.base import Map
from pybpf.maps.type_info import TypeUse
from pybpf.types import pack, s32, unpack

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

    from pybpf.types import BpfType

O = TypeVar("O")  # noqa: E741 - the owner
V = TypeVar("V")


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


PathOrFile: TypeAlias = "str | os.PathLike[str] | int | _HasFileno"


class _LocalStorage(Map, Generic[O, V]):
    """One value for each owner that has one."""

    type_use = TypeUse.REQUIRED
    needed_flags = MapFlag.NO_PREALLOC
    key: BpfType
    value: BpfType

    def __init__(self, *, value: type[V], flags: MapFlag | int = 0, name: str = "") -> None:
        super().__init__(key=cast("BpfType", s32), value=cast("BpfType", value), max_entries=0, flags=flags, name=name)

    def lookup(self, owner: O) -> V | None:
        """The value of ``owner``, or None."""
        with self._descriptor(owner) as number:
            found = map_lookup(self._need("lookup"), pack(self.key, number), self.value_size)
        return None if found is None else cast("V", unpack(self.value, found))

    def update(self, owner: O, value: V, flags: UpdateFlag = UpdateFlag.ANY) -> None:
        """Store ``value`` with ``owner``; KernelError with EEXIST (NOEXIST) or ENOENT (EXIST)."""
        with self._descriptor(owner) as number:
            map_update(self._need("update"), pack(self.key, number), pack(self.value, value), flags)

    def delete(self, owner: O) -> bool:
        """Delete the value of ``owner``; False when it had none."""
        with self._descriptor(owner) as number:
            return map_delete(self._need("delete"), pack(self.key, number))

    def __getitem__(self, owner: O) -> V:
        value = self.lookup(owner)
        if value is None:
            raise KeyError(owner)
        return value

    def __setitem__(self, owner: O, value: V) -> None:
        self.update(owner, value)

    def __delitem__(self, owner: O) -> None:
        if not self.delete(owner):
            raise KeyError(owner)

    @contextlib.contextmanager
    def _descriptor(self, owner: O) -> Iterator[int]:
        """The descriptor by which the kernel knows the owner from user space."""
        if isinstance(owner, int):
            yield owner
        elif isinstance(owner, (str, os.PathLike)):
            number = os.open(owner, os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield number
            finally:
                os.close(number)
        else:
            yield cast("_HasFileno", owner).fileno()


class TaskStorage(_LocalStorage[int, V]):
    """A value for each thread (5.11); from Python the main thread of a process, by its pid."""

    map_type = MapType.TASK_STORAGE

    @contextlib.contextmanager
    def _descriptor(self, owner: int) -> Iterator[int]:
        try:
            number = os.pidfd_open(owner)
        except OSError as error:
            hints = {
                errno.ESRCH: "the process has ended",
                errno.EINVAL: "this is a thread, not the main one of a process",
            }
            raise KernelError(f"open process {owner}", error.errno or 0, hints.get(error.errno or 0, "")) from None
        try:
            yield number
        finally:
            os.close(number)


class InodeStorage(_LocalStorage[PathOrFile, V]):
    """A value for each inode (5.10): by path, by descriptor, or by anything that has a ``fileno()``."""

    map_type = MapType.INODE_STORAGE


class SkStorage(_LocalStorage[Union[int, _HasFileno], V]):
    """A value for each socket (5.2): by the socket or its descriptor."""

    map_type = MapType.SK_STORAGE


class CgroupStorage(_LocalStorage[PathOrFile, V]):
    """A value for each cgroup (6.2): by the path of its directory in cgroup v2, or a descriptor of that."""

    map_type = MapType.CGRP_STORAGE

"""What a process has mapped: /proc/PID/maps, and paths by which its files can be opened and probed from outside."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from epicsmon.ioc.errors import ProcessGone

_DELETED = " (deleted)"
_LINE = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) ([1-9]\d*) +(/[^\n]*)$", re.MULTILINE
)
"""A mapping of a file: start, end, permissions, offset, device, inode, path (fs/proc/task_mmu.c, show_map_vma)."""

_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class Mapping:
    """One range of addresses: [start, end) shows the file from byte `offset` on."""

    start: int
    end: int
    offset: int
    executable: bool


@dataclass(frozen=True)
class MappedFile:
    """A file that a process has mapped, by its path in the process's own mount namespace.

    `device` (major, minor) and `inode` are those of the maps line; with them `deleted` files and copies of a library at
    two paths are told apart. The mappings are in the order of their addresses.
    """

    path: str
    device: tuple[int, int]
    inode: int
    deleted: bool
    mappings: tuple[Mapping, ...]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @cached_property
    def code(self) -> Mapping | None:
        """The first executable mapping, where functions are; None for data files."""
        return next((mapping for mapping in self.mappings if mapping.executable), None)


def read_maps(pid: int) -> bytes:
    """/proc/PID/maps as it is; empty for kernel threads. Raises ProcessGone, PermissionError for another user's."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone(pid) from None


def parse_maps(maps: bytes) -> tuple[MappedFile, ...]:
    """The mapped files of a maps text, in the order of their first addresses; memory without a file is left out."""
    found: dict[tuple[int, int, int, bytes], list[Mapping]] = {}
    for line in _LINE.finditer(maps):
        start, end, permissions, offset, major, minor, inode, path = line.groups()
        key = (int(major, 16), int(minor, 16), int(inode), path)
        mapping = Mapping(int(start, 16), int(end, 16), int(offset, 16), permissions[2:3] == b"x")
        found.setdefault(key, []).append(mapping)
    return tuple(_mapped_file(*key, mappings) for key, mappings in found.items())


def _mapped_file(major: int, minor: int, inode: int, path: bytes, mappings: Iterable[Mapping]) -> MappedFile:
    text = os.fsdecode(_ESCAPE.sub(lambda escape: bytes([int(escape[1], 8) & 0xFF]), path))
    deleted = text.endswith(_DELETED)
    return MappedFile(text[: -len(_DELETED)] if deleted else text, (major, minor), inode, deleted, tuple(mappings))


def open_path(pid: int, file: MappedFile) -> str | None:
    """A path by which this very file can be opened and probed from here; None when there is none.

    /proc/PID/map_files leads to the mapped inode even when the file was deleted or replaced or lies in another mount
    namespace; following it takes CAP_SYS_ADMIN, from Linux 5.9 on CAP_CHECKPOINT_RESTORE. Else /proc/PID/root/path
    does, when the file there still is the one that is mapped.
    """
    mapping = file.code or file.mappings[0]
    by_mapping = f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"
    if _inode(by_mapping) is not None:
        return by_mapping
    by_root = f"/proc/{pid}/root{file.path}"
    return by_root if not file.deleted and _inode(by_root) == file.inode else None


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None

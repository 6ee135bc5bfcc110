"""Which files a process has mapped, and which processes a file: from /proc/PID/maps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def loaded_library(name: str, pid: int | str = "self", proc: Path = _PROC) -> str:
    """The path of the first mapped file whose name begins with ``name``, like ``libc.so``.

    Raises:
        FileNotFoundError: the process has mapped none, or there is no such process.
    """
    for line in _maps(proc / str(pid)):
        path = _path(line)
        if path is not None and os.path.basename(path).startswith(name):
            return path
    raise FileNotFoundError(f"process {pid} has mapped no file called {name}...")


def processes_mapping(path: str | os.PathLike[str], proc: Path = _PROC) -> Iterator[int]:
    """The ids of the processes that have mapped this very file, through whatever path, and may be looked into.

    Raises:
        OSError: ``path`` cannot be read.
    """
    inode = os.stat(path).st_ino
    for entry in sorted(os.listdir(proc)):
        # the device number of a mapping differs from stat's on some file systems (btrfs, overlayfs): the inode decides
        if entry.isdigit() and any(_inode(line) == inode for line in _maps(proc / entry)):
            yield int(entry)


def _maps(process: Path) -> Iterator[str]:
    try:
        with open(process / "maps", encoding="utf-8", errors="surrogateescape") as maps:
            yield from maps
    except OSError:
        return


def _inode(line: str) -> int:
    fields = line.split(None, 5)
    return int(fields[4]) if len(fields) >= 5 and fields[4].isdigit() else 0


def _path(line: str) -> str | None:
    fields = line.rstrip("\n").split(None, 5)
    return fields[5] if len(fields) == 6 and fields[5].startswith("/") else None

"""Pins: names in a BPF file system that keep maps, programs and links alive when the process ends (4.4, links 5.7).

A pinned link goes on probing with nobody there; the next process opens the pins and reads on::

    pin(tracer.spans, "/sys/fs/bpf/tracer/spans")
    pin(link, "/sys/fs/bpf/tracer/link")
    ...
    spans = open_map(Tracer.spans, "/sys/fs/bpf/tracer/spans")
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from pybpf.errors import KernelError, PybpfError
from pybpf.kernel.constants import MapFlag
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.info import LinkInfo, link_info, map_info, program_info
from pybpf.kernel.link_ops import link_detach
from pybpf.kernel.pin_ops import DEFAULT_BPFFS, bpf_file_systems, mount_hint, obj_get, obj_pin, pinned_kind
from pybpf.links import Link
from pybpf.maps import Map

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, TypeAlias

M = TypeVar("M", bound=Map)


class _HasFd(Protocol):
    @property
    def fd(self) -> OwnedFd: ...


PathLike: TypeAlias = "str | os.PathLike[str]"
Pinnable: TypeAlias = "OwnedFd | Link | _HasFd"


class NotPinnable(PybpfError):
    """Something that the kernel has no name for; ``what`` it is and ``reason`` (what to do instead)."""

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(what, reason)

    def __str__(self) -> str:
        return f"cannot pin {self.what}: {self.reason}"


class WrongPin(PybpfError):
    """A pin of something else: ``path``, what was ``wanted`` and what it is (``found``)."""

    def __init__(self, path: str, wanted: str, found: str) -> None:
        self.path = path
        self.wanted = wanted
        self.found = found
        super().__init__(path, wanted, found)

    def __str__(self) -> str:
        return f"{self.path} is a pinned {self.found}, not a {self.wanted}"


@dataclass(frozen=True)
class Pin:
    """A name in a BPF file system: ``kind`` is ``map``, ``program`` or ``link``, ``id`` the kernel's number of it."""

    path: Path
    kind: str
    id: int
    name: str


class PinnedLink:
    """An open pinned link: closing it leaves the program attached, for the pin holds it too."""

    def __init__(self, fd: OwnedFd, path: Path) -> None:
        self.fd = fd
        self.path = path

    def info(self) -> LinkInfo:
        """What the kernel says of it."""
        return link_info(self.fd)

    def detach(self) -> None:
        """Detach the program now and remove the pin.

        Kinds that cannot detach (EOPNOTSUPP: uprobe_multi, perf events) end with their last descriptor, this one.
        """
        try:
            link_detach(self.fd)
        except KernelError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Give up the descriptor."""
        self.fd.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def pin(what: Pinnable, path: PathLike, *, parents: bool = False) -> None:
    """Give a live map, program or link the name ``path``; ``parents`` makes missing directories.

    Raises:
        NotPinnable: a link that consists of no kernel link (perf ioctl, socket option) or of several.
        KernelError: the name is taken, the path lies in no BPF file system, the kernel is too old; it says what to do.
    """
    fd = _descriptor(what)
    if parents:
        _make_directory(Path(path).parent, f"pin {fd.what} as {os.fspath(path)}")
    obj_pin(fd, path)


def open_map(declared: M, path: PathLike, *, flags: MapFlag | int = 0) -> M:
    """The pinned map as a live one of the declared class; ``flags``: MapFlag.RDONLY or WRONLY (4.15).

    Raises:
        WrongPin, IncompatibleMap: something else is pinned there.
        KernelError: nothing is.
    """
    fd = _open(path, "map", flags)
    try:
        return declared.adopt(fd)
    except BaseException:
        fd.close()
        raise


def open_program(path: PathLike) -> OwnedFd:
    """The descriptor of a pinned program; the caller owns it.

    Raises:
        WrongPin, KernelError: no program is pinned there.
    """
    return _open(path, "program")


def open_link(path: PathLike) -> PinnedLink:
    """A pinned link (5.7).

    Raises:
        WrongPin, KernelError: no link is pinned there.
    """
    return PinnedLink(_open(path, "link"), Path(path))


def unpin(path: PathLike) -> None:
    """Remove the name; what it named goes when nothing else holds it. FileNotFoundError when there is none."""
    Path(path).unlink()


def pins(directory: PathLike | None = None) -> Iterator[Pin]:
    """All pins below a directory (by default in every BPF file system here); what may not be opened is left out."""
    starts = [Path(directory)] if directory is not None else list(bpf_file_systems())
    for start in starts:
        for folder, _, names in os.walk(start):
            for name in sorted(names):
                found = _look(Path(folder, name))
                if found is not None:
                    yield found


def _look(path: Path) -> Pin | None:
    try:
        fd = obj_get(path)
    except KernelError:
        return None
    with fd:
        kind = pinned_kind(fd)
        if kind == "map":
            of_map = map_info(fd)
            return Pin(path, kind, of_map.id, of_map.name)
        if kind == "program":
            of_program = program_info(fd)
            return Pin(path, kind, of_program.id, of_program.name)
        return Pin(path, kind, link_info(fd).id, "") if kind == "link" else None


def _open(path: PathLike, wanted: str, flags: int = 0) -> OwnedFd:
    fd = obj_get(path, f"{wanted} {os.fspath(path)}", flags=flags)
    found = pinned_kind(fd)
    if found != wanted:
        fd.close()
        raise WrongPin(os.fspath(path), wanted, found)
    return fd


def _descriptor(what: Pinnable) -> OwnedFd:
    if isinstance(what, OwnedFd):
        return what
    if not isinstance(what, Link):
        return what.fd
    links = [fd for fd in what.descriptors if pinned_kind(fd) == "link"]
    if not links:
        raise NotPinnable(what.describe(), "this way to attach has no kernel link; it ends with its process")
    if len(links) > 1:
        raise NotPinnable(what.describe(), f"it is {len(links)} kernel links; pin each of its .descriptors")
    return links[0]


def _make_directory(path: Path, operation: str) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KernelError(operation, error.errno or 0, mount_hint(path / "x")) from None


__all__ = [
    "DEFAULT_BPFFS",
    "NotPinnable",
    "Pin",
    "PinnedLink",
    "WrongPin",
    "open_link",
    "open_map",
    "open_program",
    "pin",
    "pins",
    "unpin",
]

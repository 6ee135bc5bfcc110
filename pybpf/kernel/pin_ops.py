"""Pins: names of maps, programs and links in a BPF file system, which keep them alive without a process (4.4)."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pybpf.errors import KernelError
from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import Command
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.syscall import BPF_CAPABILITY, address, bpf_raw, error_of

DEFAULT_BPFFS = Path("/sys/fs/bpf")
_PERMISSION = f"{BPF_CAPABILITY} and permission to write to the directory"


def bpf_file_systems(mounts: str | None = None) -> tuple[Path, ...]:
    """Where BPF file systems are mounted in this mount namespace; ``mounts`` is the text of a /proc/PID/mounts."""
    text = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape") if mounts is None else mounts
    fields = (line.split() for line in text.splitlines())
    return tuple(Path(_unescape(parts[1])) for parts in fields if len(parts) > 2 and parts[2] == "bpf")


def obj_pin(fd: OwnedFd, path: str | os.PathLike[str]) -> None:
    """Give a map, a program or a link a name; its directory must be in a BPF file system.

    Raises:
        KernelError: EEXIST (the name is taken), ENOENT (no such directory), EINVAL or EPERM outside of a BPF file
            system; the hint says what to do.
    """
    attr = ffi.new("struct obj_pin *")
    name = ffi.new("char[]", os.fsencode(path))
    attr.pathname, attr.bpf_fd = address(name), fd.fileno()
    result = bpf_raw(Command.OBJ_PIN, attr)
    if result < 0:
        raise _pin_error(f"pin {fd.what} as {os.fspath(path)}", -result, Path(path))


def obj_get(path: str | os.PathLike[str], what: str = "", *, flags: int = 0) -> OwnedFd:
    """A descriptor of what is pinned as ``path``; ``flags`` are MapFlag.RDONLY or WRONLY for maps (4.15).

    Raises:
        KernelError: ENOENT (nothing has this name), EINVAL or EACCES for something that is no pin.
    """
    attr = ffi.new("struct obj_pin *")
    name = ffi.new("char[]", os.fsencode(path))
    attr.pathname, attr.file_flags = address(name), flags
    result = bpf_raw(Command.OBJ_GET, attr)
    if result < 0:
        raise _open_error(f"open the pin {os.fspath(path)}", -result, Path(path))
    return OwnedFd(result, what or f"pin {os.fspath(path)}")


def pinned_kind(fd: OwnedFd) -> str:
    """``map``, ``program`` or ``link``: what a descriptor of the kernel's refers to, by /proc/self/fd."""
    target = os.readlink(f"/proc/self/fd/{fd.fileno()}")
    return {"anon_inode:bpf-map": "map", "anon_inode:bpf-prog": "program"}.get(
        target, "link" if "bpf" in target and "link" in target else target
    )


def _pin_error(operation: str, number: int, path: Path) -> KernelError:
    if number == errno.EEXIST:
        return KernelError(operation, number, "open what is pinned there, or unpin it first")
    if not path.parent.is_dir():
        return KernelError(operation, number, f"make its directory first: mkdir -p {path.parent}")
    if not _on_bpffs(path):
        return KernelError(operation, number, mount_hint(path))
    if number == errno.EINVAL:
        return KernelError(operation, number, "this kernel cannot pin this kind (links: 5.7; perf links: 5.15)")
    return error_of(operation, number, _PERMISSION)


def _open_error(operation: str, number: int, path: Path) -> KernelError:
    if not path.exists():
        hint = "nothing is pinned there" if _on_bpffs(path) else mount_hint(path)
        return KernelError(operation, errno.ENOENT if number == errno.ENOENT else number, hint)
    if path.is_dir():
        return KernelError(operation, number, "this is a directory; name the pin inside of it")
    if not _on_bpffs(path):
        return KernelError(operation, number, "this is a file outside of a BPF file system, no pin")
    return error_of(operation, number, BPF_CAPABILITY)


def mount_hint(path: Path) -> str:
    """What to do about a path outside of every BPF file system."""
    mounted = bpf_file_systems()
    if mounted:
        return f"{path.parent} is in no BPF file system; pins live below " + " or ".join(map(str, mounted))
    return f"no BPF file system is mounted here: mount -t bpf bpf {DEFAULT_BPFFS}"


def _on_bpffs(path: Path) -> bool:
    place = path.parent.absolute()
    while not place.exists():
        place = place.parent
    device = place.stat().st_dev
    return any(_device(mount) == device for mount in bpf_file_systems())


def _device(mount: Path) -> int | None:
    try:
        return mount.stat().st_dev
    except OSError:
        return None


def _unescape(text: str) -> str:
    """The octal escapes of /proc/mounts: a blank is ``\\040``."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text

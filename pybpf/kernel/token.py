"""BPF tokens (Linux 6.9): privilege handed to a process in a user namespace of its own, by way of a BPF file system.

A privileged process mounts the file system in the other's namespace and says what it delegates (``delegate_cmds``,
``delegate_maps``, ``delegate_progs``, ``delegate_attachs``; ``any`` for all). The other derives a token from it, and
each call that takes ``token=`` is judged by the token and by the capabilities held in that namespace.
"""

from __future__ import annotations

import errno
import os

from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import Command
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.syscall import bpf_raw, error_of

_HINTS = {
    errno.EOPNOTSUPP: "this is the first user namespace; its processes need capabilities and no token",
    errno.ENOENT: "this BPF file system delegates nothing: mount it with -o delegate_cmds=...",
    errno.EPERM: "the BPF file system belongs to another user namespace, or this process has no CAP_BPF in its own",
    errno.EINVAL: "tokens came with Linux 6.9; or this is no root of a BPF file system",
}


def token_create(bpffs: str | os.PathLike[str] | int) -> OwnedFd:
    """A token of what a BPF file system delegates; its root directory, or a descriptor of that.

    Raises:
        KernelError, PermissionDenied: there is none to be had, with the reason.
    """
    directory = bpffs if isinstance(bpffs, int) else os.open(bpffs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        attr = ffi.new("struct token_create *")
        attr.bpffs_fd = directory
        result = bpf_raw(Command.TOKEN_CREATE, attr)
    finally:
        if not isinstance(bpffs, int):
            os.close(directory)
    if result < 0:
        raise error_of("create a BPF token", -result, "CAP_BPF", _HINTS.get(-result, ""))
    return OwnedFd(result, "BPF token")

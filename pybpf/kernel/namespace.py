"""Joining another namespace for a while: setns(2) (Linux 3.0).

The kernel keeps namespaces per *thread*; what is opened inside (a packet socket) stays in that namespace after
leaving it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from enum import IntEnum

from pybpf.kernel._ffi import ffi
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.syscall import error_of, libc


class Namespace(IntEnum):
    """The kinds of namespaces used here: CLONE_NEW* (include/uapi/linux/sched.h)."""

    MOUNT = 0x0002_0000  # 3.8 for setns
    NETWORK = 0x4000_0000  # 3.0

    @property
    def link(self) -> str:
        """Its name below /proc/PID/ns."""
        return {Namespace.MOUNT: "mnt", Namespace.NETWORK: "net"}[self]


def open_namespace(pid: int | str, kind: Namespace) -> OwnedFd:
    """A descriptor of the namespace of a process (``"thread-self"`` for the caller); KernelError ENOENT when gone."""
    path = f"/proc/{pid}/ns/{kind.link}"
    try:
        return OwnedFd(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path)
    except OSError as error:
        raise error_of(f"open {path}", error.errno or 0, "CAP_SYS_PTRACE") from None


def setns(namespace: OwnedFd, kind: Namespace) -> None:
    """Move the calling thread into a namespace; needs CAP_SYS_ADMIN."""
    if libc().setns(namespace.fileno(), kind) < 0:
        raise error_of(f"enter {namespace.what}", ffi.errno, "CAP_SYS_ADMIN")


@contextlib.contextmanager
def inside(namespace: OwnedFd, kind: Namespace = Namespace.NETWORK) -> Iterator[None]:
    """Run the body in a namespace and come back to the thread's own, whatever happens."""
    with open_namespace("thread-self", kind) as home:
        setns(namespace, kind)
        try:
            yield
        finally:
            setns(home, kind)

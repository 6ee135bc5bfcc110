"""Socket filters: a program that sees what a socket receives (SO_ATTACH_BPF, 3.19)."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from pybpf.errors import KernelError
from pybpf.links.link import Link, LinkKind

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd

SO_ATTACH_BPF = 50
SO_DETACH_BPF = 27
"""The numbers of asm-generic/socket.h, which x86-64 and aarch64 share; Python's socket module does not name them."""


def attach_socket_filter(prog: OwnedFd, target: socket.socket) -> Link:
    """Filter what ``target`` receives; the socket stays the caller's, and closing it ends the filter too.

    A socket has one filter: attaching a second one replaces the first.

    Raises:
        KernelError: the kernel refused, e.g. EPERM on a socket with SO_LOCK_FILTER.
    """
    what = f"{prog.what} on {_name(target)}"
    try:
        target.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, prog.fileno())
    except OSError as error:
        hint = "the socket's filter is locked" if error.errno == errno.EPERM else ""
        raise KernelError(f"attach {what}", error.errno or errno.EIO, hint) from None

    def detach() -> None:
        if target.fileno() >= 0:
            target.setsockopt(socket.SOL_SOCKET, SO_DETACH_BPF, 0)

    return Link(LinkKind.SOCKET, what, (), detach)


def _name(target: socket.socket) -> str:
    family = {socket.AF_PACKET: "packet", socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6", socket.AF_UNIX: "Unix"}
    return f"{family.get(target.family, str(target.family))} socket {target.fileno()}"

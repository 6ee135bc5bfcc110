"""Programs that see the packets of a socket (BPF_PROG_TYPE_SOCKET_FILTER, 3.19)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpf.hooks.base import Hook
from pybpf.kernel.constants import ProgramType
from pybpf.links.socket_filter import attach_socket_filter

if TYPE_CHECKING:
    import socket

    from pybpf.links import Link


class SocketFilter(Hook):
    """A filter of one socket: returns how many bytes of the packet the socket shall keep, 0 for none."""

    program_type = ProgramType.SOCKET_FILTER

    def attach(self, target: socket.socket) -> Link:
        """Filter what ``target`` receives until the link is closed.

        Raises:
            KernelError: the kernel refused.
        """
        return attach_socket_filter(self.fd, target)


socket_filter = SocketFilter
"""Decorator: ``@socket_filter def count(self, ctx: SkBuff) -> int``."""

"""Which TCP ports processes of this network namespace listen on (sock_diag, Linux 3.3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

_TCP_LISTEN = 10  # include/net/tcp_states.h


def listening_ports(pids: Iterable[int]) -> frozenset[int]:
    """The ports that these processes listen on over IPv4; one that ended, or may not be looked into, has none."""
    inodes = set().union(*(_socket_inodes(pid) for pid in pids))
    if not inodes:
        return frozenset()
    # pyroute2 is not needed before there is a server to ask about
    from pyroute2 import DiagSocket

    with DiagSocket() as diag:
        diag.bind()
        stats = diag.get_sock_stats(family=socket.AF_INET, states=1 << _TCP_LISTEN)
        return frozenset(int(entry["idiag_sport"]) for entry in stats if entry["idiag_inode"] in inodes)


def _socket_inodes(pid: int) -> set[int]:
    found = set()
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            try:
                target = os.readlink(f"{folder}/{name}")
            except OSError:
                continue  # closed meanwhile
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except OSError:
        return set()
    return found

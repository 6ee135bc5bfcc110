"""Which TCP ports processes of a network namespace listen on, over IPv4.

From /proc/net/tcp (net/ipv4/tcp_ipv4.c): it lists all listening sockets before any connection, so a look costs little
on a host with many connections, and it needs no privilege.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

_TCP_LISTEN = "0A"  # include/net/tcp_states.h
_SIOCGIFCONF = 0x8912  # linux/sockios.h
_IFREQ_SIZE = 40  # on all 64-bit machines; the address begins at byte 20
_MOST_ADDRESSES = 4096
_ANY = "0.0.0.0"


@dataclass(frozen=True)
class Listener:
    """A listening socket: ``host`` is 0.0.0.0 when it takes connections to every address."""

    host: str
    port: int
    inode: int


class SocketTable:
    """The listening sockets and the addresses of one network namespace: that of the thread that made this.

    A context manager; other threads may use it wherever they are.
    """

    def __init__(self) -> None:
        with ExitStack() as undo:
            # Each keeps the namespace it was opened in.
            self._table = undo.enter_context(open("/proc/thread-self/net/tcp", encoding="ascii"))
            self._control = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self._cleanup = undo.pop_all()

    def listeners(self) -> frozenset[Listener]:
        """Every listening socket (IPv4)."""
        found = set()
        self._table.seek(0)
        next(self._table)
        for row in self._table:
            columns = row.split()
            if columns[3] != _TCP_LISTEN:
                break
            address, _, port = columns[1].partition(":")
            # The kernel prints the four bytes of the address as one number of the host's byte order.
            host = socket.inet_ntop(socket.AF_INET, struct.pack("=I", int(address, 16)))
            found.add(Listener(host, int(port, 16), int(columns[9])))
        return frozenset(found)

    def addresses(self) -> frozenset[str]:
        """The IPv4 addresses of the interfaces."""
        buffer = array.array("B", bytes(_IFREQ_SIZE * _MOST_ADDRESSES))
        request = struct.pack("iP", len(buffer), buffer.buffer_info()[0])
        (size,) = struct.unpack_from("i", fcntl.ioctl(self._control, _SIOCGIFCONF, request))
        starts = range(0, size, _IFREQ_SIZE)
        return frozenset(socket.inet_ntop(socket.AF_INET, buffer[at + 20 : at + 24].tobytes()) for at in starts)

    def close(self) -> None:
        """Let go of the namespace."""
        self._cleanup.close()

    def __enter__(self) -> SocketTable:  # noqa: PYI034 - typing.Self is 3.11
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class LocalServers:
    """Where certain processes of a network namespace accept connections, looked up again when asked to.

    ``pids`` names the processes. It is asked only when a listening socket has come or gone, or after ``ANEW_S``:
    looking through all processes costs much more than looking at the sockets.
    """

    ANEW_S = 30.0

    def __init__(
        self,
        pids: Callable[[], Iterable[int]],
        listeners: Callable[[], frozenset[Listener]],
        addresses: Callable[[], frozenset[str]],
    ) -> None:
        self.ports: frozenset[int] = frozenset()
        self._pids = pids
        self._listeners = listeners
        self._addresses = addresses
        self._seen: frozenset[Listener] | None = None
        self._seen_at = 0.0
        self._hosts: dict[int, set[str]] = {}
        self._local: frozenset[str] = frozenset()

    def look(self, now_s: float) -> bool:
        """Look at the sockets at this time of a monotonic clock; returns whether ``ports`` may have changed."""
        self._local = self._addresses()
        seen = self._listeners()
        if seen == self._seen and now_s - self._seen_at < self.ANEW_S:
            return False
        self._seen, self._seen_at = seen, now_s
        hosts: dict[int, set[str]] = {}
        for server in of_processes(seen, self._pids()):
            hosts.setdefault(server.port, set()).add(server.host)
        self._hosts = hosts
        self.ports = frozenset(hosts)
        return True

    def has(self, host: str, port: int) -> bool:
        """Whether a connection to this address arrives at one of the processes."""
        hosts = self._hosts.get(port)
        if hosts is None:
            return False
        return host in hosts or (_ANY in hosts and (host in self._local or host.startswith("127.")))


def of_processes(candidates: Iterable[Listener], pids: Iterable[int]) -> frozenset[Listener]:
    """Those of the listeners that one of the processes has; a process that may not be looked into has none."""
    inodes = set().union(*(_socket_inodes(pid) for pid in pids))
    return frozenset(listener for listener in candidates if listener.inode in inodes)


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

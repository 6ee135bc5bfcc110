"""Network namespaces for tests: loopback up, nothing else in it, no name, gone with its last descriptor.

Capture tests see every packet of their namespace, so each has one of its own. Made with unshare(2) in a thread that
ends at once: the tests' own thread never leaves its namespace unless it asks to, and iproute2 is not needed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


class NetworkNamespace:
    """A network namespace of its own, held open by one descriptor. A context manager."""

    def __init__(self) -> None:
        failures: list[OSError] = []
        fds: list[int] = []

        def build() -> None:
            try:
                _call("unshare", CLONE_NEWNET)
                _loopback_up()
                fds.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                failures.append(error)

        builder = threading.Thread(target=build)
        builder.start()
        builder.join()
        if failures:
            raise failures[0]
        self.fd = fds[0]

    @property
    def inode(self) -> int:
        """Number of the namespace as /proc/PID/ns/net shows it (net:[N])."""
        return os.fstat(self.fd).st_ino

    @contextmanager
    def entered(self) -> Iterator[NetworkNamespace]:
        """Move the calling thread into the namespace; processes and threads it starts meanwhile begin there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", self.fd, CLONE_NEWNET)
            try:
                yield self
            finally:
                _call("setns", before, CLONE_NEWNET)
        finally:
            os.close(before)

    def close(self) -> None:
        """Let go of the namespace; the kernel ends it when the last process in it has gone."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> NetworkNamespace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def free_port() -> int:
    """Return a port that is free for TCP and UDP on loopback in the calling thread's namespace."""
    for _ in range(100):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free for both TCP and UDP")


def _call(name: str, *arguments: int) -> None:
    # os.unshare and os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _loopback_up() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(control, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))

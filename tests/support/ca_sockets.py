"""Made Channel Access traffic on real TCP connections: the conversations of ca_wire.py between two sockets on lo."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress

from tests.support.ca_wire import Conversation

LOOPBACK = "127.0.0.1"


class Circuit:
    """Both ends of a TCP connection over loopback, here in one thread. A context manager.

    What one end sends is received by the other before anything else happens, so the order is that of the conversation.
    """

    def __init__(
        self,
        host: str = LOOPBACK,
        *,
        options: bytes = b"",
        server: socket.socket | None = None,
        client_port: int | None = None,
    ) -> None:
        listening = server or listen(host)
        self.client = socket.socket()
        # An abort instead of TIME_WAIT, so that the ports can be used again at once.
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if server is None or client_port is not None:
            self.client.bind((host, client_port or 0))
        if options:
            self.client.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
        self.client.connect(listening.getsockname())
        self.server, _ = listening.accept()
        if server is None:
            listening.close()
        for end in (self.client, self.server):
            # Every send is a segment of its own.
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(10)

    @property
    def client_port(self) -> int:
        port: int = self.client.getsockname()[1]
        return port

    @property
    def server_port(self) -> int:
        port: int = self.server.getsockname()[1]
        return port

    def say(self, from_client: bool, data: bytes) -> None:
        """Send bytes as one write, and receive them at the other end."""
        sender, receiver = (self.client, self.server) if from_client else (self.server, self.client)
        sender.setblocking(False)
        sent = received = 0
        while received < len(data):
            with suppress(BlockingIOError):
                sent += sender.send(data[sent : sent + (1 << 20)])
            if sent > received:
                received += len(receiver.recv(1 << 20))
        sender.settimeout(10)

    def play(self, talk: Conversation, sizes: Iterable[int], *, begin: int = 0, end: int | None = None) -> None:
        """Say a stretch of a conversation, each write cut to the next of ``sizes``."""
        lengths = iter(sizes)
        for from_client, data in talk.said[begin:end]:
            for piece in _pieces(data, lengths):
                self.say(from_client, piece)

    def close(self) -> None:
        """Close both ends, the client's first."""
        self.client.close()
        self.server.close()

    def __enter__(self) -> Circuit:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def listen(host: str = LOOPBACK) -> socket.socket:
    """A listening socket on a free port."""
    listening = socket.socket()
    listening.bind((host, 0))
    listening.listen(512)
    return listening


def _pieces(data: bytes, lengths: Iterator[int]) -> Iterator[bytes]:
    while data:
        size = max(1, next(lengths))
        yield data[:size]
        data = data[size:]

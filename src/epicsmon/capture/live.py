"""Segments of Channel Access circuits as they pass through the interfaces of this network namespace.

The filter runs in the kernel on a packet socket that sees every interface, `lo` included, in both directions; nothing
is ever sent, and the socket itself receives nothing.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from epicsmon.capture.packet import Segment
from epicsmon.events import Endpoint
from epicsmon.programs import ca_filter as kernel
from pybpf.errors import PermissionDenied

if TYPE_CHECKING:
    from types import TracebackType

ETH_P_ALL = 0x0003
_PIECE = struct.Struct("=QIIHHIIIII")


@dataclass(frozen=True)
class CaptureCounts:
    """What the filter counted: segments of circuits, and pieces of them that were lost in the kernel."""

    segments: int
    ring_full: int
    unreadable: int
    fragments: int

    @property
    def lost(self) -> int:
        """Pieces that did not come up."""
        return self.ring_full + self.unreadable


class LiveCapture:
    """The filter and its ring, for the network namespace of the calling thread. A context manager.

    Raises:
        PermissionDenied: CAP_NET_RAW or CAP_BPF is missing.
        UnsupportedFeature, KernelError, VerifierError: the kernel does not take the filter.
    """

    def __init__(self) -> None:
        self._cleanup = ExitStack()
        self._servers: frozenset[int] = frozenset()
        self.namespace = own_network_namespace()
        with ExitStack() as undo:
            self._filter = undo.enter_context(kernel.CaFilter().load())
            raw = undo.enter_context(_packet_socket())
            undo.enter_context(self._filter.select.attach(raw))
            _drain(raw)
            self._cleanup = undo.pop_all()

    def set_servers(self, ports: Iterable[int]) -> None:
        """The TCP ports that CA servers of this namespace are known to listen on; replaces those named before."""
        wanted = frozenset(ports)
        for port in self._servers - wanted:
            self._filter.servers.delete(port)
        for port in wanted - self._servers:
            self._filter.servers[port] = 1
        self._servers = wanted

    def poll(self, handle: Callable[[Segment], object]) -> int:
        """Give the segments that have come in to ``handle``, in the order they were seen; returns their number."""
        offset = time.time_ns() - time.monotonic_ns()

        def decode(record: memoryview) -> None:
            at, source, destination, source_port, destination_port, seq, ack, length, _, flags = _PIECE.unpack_from(
                record
            )
            payload = bytes(record[_PIECE.size : _PIECE.size + length])
            handle(
                Segment(
                    at + offset,
                    _endpoint(source, source_port),
                    _endpoint(destination, destination_port),
                    seq & 0xFFFFFFFF,
                    ack,
                    flags,
                    payload,
                    length,
                    self.namespace,
                )
            )

        return self._filter.segments.consume(decode)

    def counts(self) -> CaptureCounts:
        """What the filter has counted since it was attached, on all CPUs."""
        total = self._filter.counts.total
        return CaptureCounts(
            total(kernel.SEGMENTS), total(kernel.RING_FULL), total(kernel.UNREADABLE), total(kernel.FRAGMENTS)
        )

    def close(self) -> None:
        """Stop capturing and give the ring back."""
        self._cleanup.close()

    def __enter__(self) -> LiveCapture:  # noqa: PYI034 - typing.Self is 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def own_network_namespace() -> int:
    """The inode of the network namespace of the calling thread."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def _packet_socket() -> socket.socket:
    try:
        # every protocol of every interface: only that includes what leaves
        return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    except PermissionError as error:
        raise PermissionDenied("open a packet socket", error.errno or 1, "CAP_NET_RAW") from None


def _drain(raw: socket.socket) -> None:
    """Drop what the socket received before it had its filter; nothing comes after."""
    raw.setblocking(False)
    try:
        while True:
            raw.recv(1)
    except BlockingIOError:
        return


@lru_cache(maxsize=65536)
def _endpoint(address: int, port: int) -> Endpoint:
    """One object per endpoint: flows are looked up by it."""
    return Endpoint(socket.inet_ntop(socket.AF_INET, address.to_bytes(4, "big")), port)

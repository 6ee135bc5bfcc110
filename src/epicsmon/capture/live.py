"""Segments of Channel Access circuits as they pass through the interfaces of this network namespace.

The filter runs in the kernel on a packet socket that sees every interface, `lo` included, in both directions; nothing
is ever sent, and the socket itself receives nothing.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from epicsmon.capture.packet import Segment
from epicsmon.clock import clock_offset
from epicsmon.events import Endpoint
from epicsmon.programs import ca_filter as kernel
from pybpf.errors import KernelError, PermissionDenied

if TYPE_CHECKING:
    from types import TracebackType

ETH_P_ALL = 0x0003
_PIECE = struct.Struct("=QIIHHIIIII")


@dataclass(frozen=True)
class CaptureCounts:
    """What the filter counted.

    ``segments`` of circuits; ``ring_full`` and ``unreadable``, pieces of them that were lost in the kernel;
    ``fragments`` of IP packets, which are not put together; ``others``, segments of connections that are no circuits.
    """

    segments: int = 0
    ring_full: int = 0
    unreadable: int = 0
    fragments: int = 0
    others: int = 0

    @property
    def lost(self) -> int:
        """Pieces that did not come up."""
        return self.ring_full + self.unreadable


class LiveCapture:
    """The filter and its ring, for the network namespace of the calling thread. A context manager.

    ``ring_bytes``, a power of two, is how much may wait to be polled; what comes while that is full is lost, and
    counted. An observer only: nothing is ever sent, and no packet is held back.

    Raises:
        PermissionDenied: CAP_NET_RAW or CAP_BPF is missing.
        UnsupportedFeature, KernelError, VerifierError: the kernel does not take the filter.
    """

    def __init__(self, ring_bytes: int | None = None) -> None:
        self._cleanup = ExitStack()
        self._servers: frozenset[int] = frozenset()
        self.namespace = own_network_namespace()
        sizes = {} if ring_bytes is None else {"segments": ring_bytes}
        with ExitStack() as undo:
            self._filter = undo.enter_context(kernel.CaFilter().load(max_entries=sizes))
            raw = undo.enter_context(_packet_socket())
            undo.enter_context(self._filter.select.attach(raw))
            _drain(raw)
            self._cleanup = undo.pop_all()

    def set_servers(self, ports: Iterable[int]) -> None:
        """The TCP ports that CA servers of this namespace are known to listen on; replaces those named before.

        More than the filter has room for are left out: their circuits are known by what they say.
        """
        wanted = frozenset(sorted(ports)[: self._filter.servers.max_entries])
        for port in self._servers - wanted:
            self._filter.servers.delete(port)
        for port in wanted - self._servers:
            self._filter.servers[port] = 1
        self._servers = wanted

    def leave_out(self, one: Endpoint, other: Endpoint) -> None:
        """This connection is no circuit: it stays in the kernel until a segment of it is exactly one CA message."""
        ends = sorted((int.from_bytes(socket.inet_aton(end.host), "big"), end.port) for end in (one, other))
        (low, low_port), (high, high_port) = ends
        key = kernel.FlowKey(low=low, high=high, low_port=low_port, high_port=high_port)
        flow = kernel.Flow(verdict=kernel.OTHER, tries=0, opened=0, client_low=0, syn=0, answer=0)
        # The kernel may be short of memory; then the connection goes on coming up.
        with suppress(KernelError):
            self._filter.flows.update(key, flow)

    def poll(self, handle: Callable[[Segment], object], limit: int | None = None) -> int:
        """Give the segments that have come in to ``handle``, in the order they were seen; returns their number.

        At most ``limit``; what is left stays in the ring. A segment of more than 16 KB comes in pieces.
        """
        offset = clock_offset()

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
                    seq,
                    ack,
                    flags,
                    payload,
                    length,
                    self.namespace,
                )
            )

        return self._filter.segments.consume(decode, limit)

    def pending(self) -> int:
        """Bytes in the ring that were not polled yet."""
        return self._filter.segments.pending()

    def counts(self) -> CaptureCounts:
        """What the filter has counted since it was attached, on all CPUs."""
        total = self._filter.counts.total
        rows = (kernel.SEGMENTS, kernel.RING_FULL, kernel.UNREADABLE, kernel.FRAGMENTS, kernel.OTHERS)
        return CaptureCounts(*(total(row) for row in rows))

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

"""Puts as they pass by: every client's, to every server whose packets this host sees."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from epicsmon.capture.listeners import LocalServers, SocketTable
from epicsmon.capture.live import CaptureCounts, LiveCapture
from epicsmon.counters import Counters
from epicsmon.events import Event, Gap, LossUnit, PutEvent, Stage
from epicsmon.ioc import IocFinder
from epicsmon.puts.tracker import PutTracker

if TYPE_CHECKING:
    from epicsmon.capture.packet import Segment
    from epicsmon.events import Endpoint
    from epicsmon.puts.limits import Limits

POLL_S = 0.02
"""The filter does not wake the reader, which saves it an interrupt a segment; it looks this often."""
BATCH = 1024
"""Segments taken from the ring at once: what is not taken yet waits there, not in Python's memory."""
EXPIRE_S = 0.25
"""How often holes in streams are given up, and losses in the kernel reported."""
LOOK_AROUND_S = 2.0
"""How often the ports of IOCs are looked up again, unless that costs so much that LOOK_SHARE says less often."""
LOOK_SHARE = 0.01
"""The share of the time that may go into looking around."""


class PutSource:
    """Puts of this network namespace, as an iterator; see :func:`watch_puts`."""

    def __init__(self, limits: Limits | None = None, ring_bytes: int | None = None) -> None:
        self.counters = Counters()
        """In puts: those decoded. What was lost before it could be decoded is in the gaps."""
        self._tracker = PutTracker(limits, self._is_server, self._leave_out)
        self._ring_bytes = ring_bytes
        self._finder = IocFinder()
        self._servers: LocalServers | None = None
        self._capture: LiveCapture | None = None
        self._cleanup = ExitStack()
        self._reported = CaptureCounts()
        self._polled_ns = 0
        self._stopped = False

    def stop(self) -> None:
        """End the iteration after what was already received; from any thread, or a signal handler."""
        self._stopped = True

    @property
    def capture(self) -> LiveCapture:
        """The open capture."""
        if self._capture is None:
            raise RuntimeError("the source is not open: use it in a with statement")
        return self._capture

    @property
    def tracker(self) -> PutTracker:
        """What is known of the circuits."""
        return self._tracker

    @property
    def server_ports(self) -> frozenset[int]:
        """The ports on which IOCs of this namespace were found to serve."""
        return frozenset() if self._servers is None else self._servers.ports

    def look_around(self) -> None:
        """Learn on which ports the IOCs of this namespace serve."""
        if self._servers is not None and self._servers.look(time.monotonic()):
            self.capture.set_servers(self._servers.ports)

    def __iter__(self) -> Iterator[Event]:
        expired = time.monotonic()
        look_at = expired + LOOK_AROUND_S
        while not self._stopped:
            taken = yield from self._poll()
            now = time.monotonic()
            if now - expired >= EXPIRE_S:
                yield from self._counted(self._tracker.expire(time.time_ns()))
                yield from self._losses()
                expired = now
            if now >= look_at:
                self.look_around()
                after = time.monotonic()
                look_at = after + max(LOOK_AROUND_S, (after - now) / LOOK_SHARE)
            if taken < BATCH:
                time.sleep(POLL_S)
        ended_ns = time.time_ns()
        while (yield from self._poll()) == BATCH and self._polled_ns < ended_ns:
            pass
        yield from self._counted(self._tracker.close(time.time_ns()))
        yield from self._losses()

    def _poll(self) -> Generator[Event, None, int]:
        """The events of what has come in, one batch at most; returns its size."""
        segments: list[Segment] = []
        self.capture.poll(segments.append, BATCH)
        feed = self._tracker.feed
        for segment in segments:
            events = feed(segment)
            if events:
                yield from self._counted(events)
        if segments:
            self._polled_ns = segments[-1].time_ns
        return len(segments)

    def _counted(self, events: Sequence[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, PutEvent):
                self.counters.seen += 1
                self.counters.delivered += 1
            yield event

    def _losses(self) -> Iterator[Gap]:
        counts = self.capture.counts()
        before, self._reported = self._reported, counts
        now = time.time_ns()
        full = counts.ring_full - before.ring_full
        if full:
            detail = "pieces of segments that came while the ring was full: the reader was too slow"
            yield Gap(now, Stage.RING, full, detail, LossUnit.PACKETS)
        unreadable = counts.unreadable - before.unreadable
        if unreadable:
            yield Gap(now, Stage.SOCKET, unreadable, "segments that the kernel could not copy whole", LossUnit.PACKETS)

    def _is_server(self, endpoint: Endpoint) -> bool:
        return self._servers is not None and self._servers.has(endpoint.host, endpoint.port)

    def _leave_out(self, one: Endpoint, other: Endpoint) -> None:
        self.capture.leave_out(one, other)

    def _ioc_pids(self) -> Iterable[int]:
        namespace = self.capture.namespace
        return [ioc.pid for ioc in self._finder.find() if ioc.net_namespace == namespace]

    def close(self) -> None:
        """Stop capturing."""
        self._cleanup.close()
        self._capture = self._servers = None

    def __enter__(self) -> PutSource:  # noqa: PYI034 - typing.Self is 3.11
        with ExitStack() as undo:
            self._capture = undo.enter_context(LiveCapture(self._ring_bytes))
            sockets = undo.enter_context(SocketTable())
            self._servers = LocalServers(self._ioc_pids, sockets.listeners, sockets.addresses)
            self.look_around()
            self._cleanup = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def watch_puts(limits: Limits | None = None, ring_bytes: int | None = None) -> PutSource:
    """Watch the puts of the network namespace of the calling thread while the returned context manager is open::

        with watch_puts() as puts:
            for event in puts:
                ...

    Yields :class:`~epicsmon.events.PutEvent` and :class:`~epicsmon.events.Gap`. A put to a channel that was opened
    before the start has the name None, with its sid and circuit. ``limits`` bounds the memory of the circuits,
    ``ring_bytes`` (a power of two; 16 MB) is how much traffic may wait in the kernel while the caller is busy.

    Raises:
        PermissionDenied: CAP_NET_RAW or CAP_BPF is missing.
        UnsupportedFeature, KernelError: the kernel does not take the filter.
    """
    return PutSource(limits, ring_bytes)

"""Puts as they pass by: every client's, to every server whose packets this host sees."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from epicsmon.capture.listeners import listening_ports
from epicsmon.capture.live import CaptureCounts, LiveCapture, own_network_namespace
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
EXPIRE_S = 0.25
"""How often holes in streams are given up."""
LOOK_AROUND_S = 2.0
"""How often the ports of IOCs are looked up again, and losses in the kernel counted."""


class PutSource:
    """Puts of this network namespace, as an iterator; see :func:`watch_puts`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.counters = Counters()
        """In puts: those decoded. What was lost before it could be decoded is in the gaps."""
        self._tracker = PutTracker(limits, self._is_server)
        self._finder = IocFinder()
        self._namespace = own_network_namespace()
        self._ports: frozenset[int] = frozenset()
        self._capture: LiveCapture | None = None
        self._cleanup = ExitStack()
        self._reported = CaptureCounts(0, 0, 0, 0)
        self._stopped = False

    def stop(self) -> None:
        """End the iteration after what was already received."""
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

    def _is_server(self, endpoint: Endpoint) -> bool:
        return endpoint.port in self._ports

    def look_around(self) -> None:
        """Learn on which ports the IOCs of this namespace serve."""
        pids = [ioc.pid for ioc in self._finder.find() if ioc.net_namespace == self._namespace]
        self._ports = listening_ports(pids)
        self.capture.set_servers(self._ports)

    def __iter__(self) -> Iterator[Event]:
        looked = expired = time.monotonic()
        while not self._stopped:
            yield from self._poll()
            now = time.monotonic()
            if now - expired >= EXPIRE_S:
                yield from self._counted(self._tracker.expire(time.time_ns()))
                expired = now
            if now - looked >= LOOK_AROUND_S:
                self.look_around()
                yield from self._losses()
                looked = now
            time.sleep(POLL_S)
        yield from self._poll()
        yield from self._counted(self._tracker.close(time.time_ns()))
        yield from self._losses()

    def _poll(self) -> Iterator[Event]:
        segments: list[Segment] = []
        self.capture.poll(segments.append)
        feed = self._tracker.feed
        for segment in segments:
            events = feed(segment)
            if events:
                yield from self._counted(events)

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
            yield Gap(now, Stage.SOCKET, unreadable, "pieces whose bytes the kernel could not copy", LossUnit.PACKETS)

    def close(self) -> None:
        """Stop capturing."""
        self._cleanup.close()
        self._capture = None

    def __enter__(self) -> PutSource:  # noqa: PYI034 - typing.Self is 3.11
        with ExitStack() as undo:
            self._capture = undo.enter_context(LiveCapture())
            self.look_around()
            self._cleanup = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def watch_puts(limits: Limits | None = None) -> PutSource:
    """Watch the puts of this network namespace while the returned context manager is open::

        with watch_puts() as puts:
            for event in puts:
                ...

    Yields :class:`~epicsmon.events.PutEvent` and :class:`~epicsmon.events.Gap`. A put to a channel that was opened
    before the start has the name None, with its sid and circuit. ``limits`` bounds the memory of the circuits.

    Raises:
        PermissionDenied: CAP_NET_RAW or CAP_BPF is missing.
        UnsupportedFeature, KernelError: the kernel does not take the filter.
    """
    return PutSource(limits)

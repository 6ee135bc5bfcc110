"""One sink with its own queue and thread: a sink that hangs delays neither the source nor the other sinks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from epicsmon.agent.queue import BoundedQueue
from epicsmon.counters import Counters
from epicsmon.events import Event, Gap, LossUnit, Stage
from epicsmon.sinks.base import Sink, SinkClosed, SinkError, count_events, is_counted

BATCH = 512
"""Events per write at most: one SQLite transaction or one write(2) for each."""


class GapLedger:
    """Gaps that could not be delivered yet, added up by stage and unit so that they never grow beyond a few."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[Stage, LossUnit], Gap] = {}

    def __bool__(self) -> bool:
        return bool(self._gaps)

    def add(self, gap: Gap) -> None:
        """Remembers a gap; several of a kind keep the time and the detail of the first."""
        key = (gap.stage, gap.unit)
        first = self._gaps.get(key)
        self._gaps[key] = gap if first is None else replace(first, lost=first.lost + gap.lost)

    def take(self) -> list[Gap]:
        """Removes and returns all."""
        gaps = list(self._gaps.values())
        self._gaps.clear()
        return gaps


class Outlet:
    """Feeds a sink from a bounded queue in a thread of its own, and accounts for every event offered.

    What the queue refuses or the sink fails to write is counted and becomes a Gap in front of the next event that goes
    through. A thread is needed because a sink may block for seconds (a server, a disk, a pager), while packets and
    probes do not wait. `on_error` and `on_closed` are called in that thread.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        limit: int,
        clock: Callable[[], int],
        on_error: Callable[[SinkError], None],
        on_closed: Callable[[], None],
    ) -> None:
        self.sink = sink
        self.seen = 0
        self.filtered = 0
        self.lost_in_queue = 0
        self._queue = BoundedQueue(limit)
        self._clock = clock
        self._on_error = on_error
        self._on_closed = on_closed
        self._refused = GapLedger()
        self._unwritten = GapLedger()
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)

    def start(self) -> None:
        """Starts the thread; the sink is open."""
        self._thread.start()

    def offer(self, event: Event) -> None:
        """Queues an event for the sink, or counts it as lost. Called from the source's thread."""
        counted = is_counted(event)
        self.seen += counted
        if not self.sink.takes(event):
            self.filtered += counted
            return
        if self._refused:
            for gap in self._refused.take():
                self._queue_gap(gap)
        if isinstance(event, Gap):
            self._queue_gap(event)
        elif not self._queue.offer(event) and counted:
            self.lost_in_queue += 1
            self._refused.add(Gap(self._clock(), Stage.QUEUE, 1, f"{self.sink.name} does not keep up"))

    def _queue_gap(self, gap: Gap) -> None:
        if not self._queue.offer(gap):
            self._refused.add(gap)

    def _run(self) -> None:
        dead = False
        while True:
            batch = self._queue.take(BATCH)
            if not batch:
                break
            dead = dead or not self._write(batch)
        if not dead and self._unwritten:
            self._write([])
        try:
            self.sink.close()
        except SinkError as error:
            self._on_error(error)

    def _write(self, batch: Sequence[Event]) -> bool:
        """Writes what could not be written before and the batch; False when the sink is closed for ever."""
        gaps = [gap for gap in self._unwritten.take() if self.sink.takes(gap)]
        before = self.sink.counters.accepted
        try:
            self.sink.write([*gaps, *batch])
        except SinkClosed:
            self._on_closed()
            return False
        except SinkError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a fault in one sink must not silence it without a word
            failure = SinkError(self.sink.name, f"{type(error).__name__}: {error}")
        else:
            return True
        lost = count_events(batch) - (self.sink.counters.accepted - before)
        for gap in (*gaps, *(event for event in batch if isinstance(event, Gap))):
            self._unwritten.add(gap)
        if lost:
            self._unwritten.add(Gap(self._clock(), Stage.SINK, lost, str(failure)))
        self._on_error(failure)
        return True

    def finish(self, timeout_s: float) -> None:
        """Lets the sink write what is queued, for `timeout_s` at most; what it has not taken by then is lost."""
        self._queue.close(self._refused.take())
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            left = count_events(self._queue.discard())
            self.lost_in_queue += left
            self._on_error(SinkError(self.sink.name, f"not finished after {timeout_s:.0f} s; {left} left in the queue"))

    @property
    def lost_in_sink(self) -> int:
        """What the sink was given and did not write; true once it has finished."""
        return self.seen - self.filtered - self.lost_in_queue - self.sink.counters.accepted

    @property
    def counters(self) -> Counters:
        """The account of this sink; true once it has finished."""
        lost = self.lost_in_queue + self.lost_in_sink
        return Counters(self.seen, self.sink.counters.accepted, self.filtered, lost)

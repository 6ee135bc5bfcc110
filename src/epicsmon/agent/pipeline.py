"""From one source through a filter to sinks, with every event accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from epicsmon.agent.filters import EventFilter
from epicsmon.agent.outlet import Outlet
from epicsmon.agent.source import Source, as_source
from epicsmon.counters import Counters
from epicsmon.events import Event, Gap, LossUnit
from epicsmon.sinks.base import Sink, SinkError, is_counted

if TYPE_CHECKING:
    from typing_extensions import Self

QUEUE_LIMIT = 16_384
"""Events a sink may lag behind: some 15 MB of puts at worst; the kernel's ring holds longer bursts."""

FINISH_S = 10.0
"""How long the end of a run waits for a sink: longer than one request to a server that does not answer."""


@dataclass(frozen=True)
class SinkReport:
    """The account of one sink: what it saw, wrote, does not take, lost in its queue and lost in writing."""

    name: str
    counters: Counters
    lost_in_queue: int
    lost_in_sink: int


@dataclass(frozen=True)
class Report:
    """The account of a run; `counters.seen == delivered + filtered + lost` for it and for every sink.

    `counters` counts an event as delivered when every sink that takes it has written it; `lost` includes what was
    lost before the pipeline and could be counted in events. `lost_before` has all losses before the pipeline by
    stage and unit: `("ring", "events")`.
    """

    counters: Counters
    gaps: int
    lost_before: dict[tuple[str, str], int]
    sinks: tuple[SinkReport, ...]
    errors: tuple[SinkError, ...] = field(default=(), repr=False)


class Pipeline:
    """Runs a source into sinks; a context manager that opens the sinks and, whatever happens, lets go of them.

    Opening comes first, so that a wrong path or a missing package is known before a probe is attached. The source is
    iterated in the caller's thread; a pipeline runs once. A gap from the source goes to every sink and is never
    filtered. Errors of a sink go to `on_error` (from the sink's thread) and do not end the run; the end of a sink's
    reader (`| head`) does.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        accept: EventFilter | None = None,
        queue_limit: int = QUEUE_LIMIT,
        finish_s: float = FINISH_S,
        clock: Callable[[], int] = time.time_ns,
        on_error: Callable[[SinkError], None] = lambda error: None,
    ) -> None:
        self._source: Source | None = None
        self._running = False
        self._accept = accept
        self._finish_s = finish_s
        self._on_error = on_error
        self._errors: list[SinkError] = []
        self._stopped = False
        self._outlets = [
            Outlet(sink, limit=queue_limit, clock=clock, on_error=self._note, on_closed=self.stop) for sink in sinks
        ]
        self._seen = 0
        self._filtered = 0
        self._gaps = 0
        self._lost_before: dict[tuple[str, str], int] = {}

    def _note(self, error: SinkError) -> None:
        self._errors.append(error)
        self._on_error(error)

    def stop(self) -> None:
        """Asks the run to end; callable from a signal handler and from any thread."""
        self._stopped = True
        if self._source is not None:
            self._source.stop()

    def __enter__(self) -> Self:
        """Opens all sinks. Raises SinkError, and then none stays open."""
        opened: list[Sink] = []
        try:
            for outlet in self._outlets:
                outlet.sink.open()
                opened.append(outlet.sink)
        except SinkError:
            for sink in opened:
                sink.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._running:
            for outlet in self._outlets:
                outlet.sink.close()

    def run(self, events: Iterable[Event], count: int | None = None) -> Report:
        """Runs until the source ends, `stop` is called, or `count` events went on to the sinks.

        KeyboardInterrupt ends the run like `stop`. Whatever the source raises comes out after the sinks have finished.
        """
        self._running = True
        self._source = source = as_source(events)
        for outlet in self._outlets:
            outlet.start()
        try:
            if count != 0 and not self._stopped:
                self._pump(source, count)
        except KeyboardInterrupt:
            pass
        finally:
            for outlet in self._outlets:
                outlet.finish(self._finish_s)
        return self.report()

    def _pump(self, source: Source, count: int | None) -> None:
        accept = None if self._accept is None else self._accept.accepts
        outlets = self._outlets
        left = -1 if count is None else count
        for event in source:
            if is_counted(event):
                self._seen += 1
                if accept is not None and not accept(event):
                    self._filtered += 1
                    continue
                left -= 1
            elif isinstance(event, Gap):
                self._note_gap(event)
            for outlet in outlets:
                outlet.offer(event)
            if left == 0:
                return

    def _note_gap(self, gap: Gap) -> None:
        self._gaps += 1
        key = (gap.stage.value, gap.unit.value)
        self._lost_before[key] = self._lost_before.get(key, 0) + gap.lost

    def report(self) -> Report:
        """The account so far; true once the run has ended."""
        sinks = tuple(
            SinkReport(outlet.sink.name, outlet.counters, outlet.lost_in_queue, outlet.lost_in_sink)
            for outlet in self._outlets
        )
        before = sum(lost for (_, unit), lost in self._lost_before.items() if unit == LossUnit.EVENTS.value)
        lost = max((sink.counters.lost for sink in sinks), default=0)
        counters = Counters(
            seen=self._seen + before,
            delivered=self._seen - self._filtered - lost,
            filtered=self._filtered,
            lost=before + lost,
        )
        return Report(counters, self._gaps, dict(self._lost_before), sinks, tuple(self._errors))

"""Running a source into sinks from the command line: Ctrl-C, --duration, and the summary at the end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from epicsmon.agent.filters import NameFilter
from epicsmon.agent.pipeline import Pipeline, Report
from epicsmon.cli.streams import ExitCode, Streams
from epicsmon.counters import Counters
from epicsmon.events import Event
from epicsmon.sinks.base import Sink
from epicsmon.text import escape

OpenSource = Callable[[], "AbstractContextManager[Iterable[Event]]"]


def monitor(
    open_source: OpenSource,
    sinks: Sequence[Sink],
    *,
    names: NameFilter,
    count: int | None,
    duration_s: float | None,
    what: str,
    source_what: str | None = None,
    streams: Streams,
) -> ExitCode:
    """Runs until the source ends, `count` events passed, `duration_s` is over, or Ctrl-C; then says what was seen.

    `source_what` is what the source itself counts, where that is something else than `what`. The sinks are opened
    before the source. A sink's error is said once for each text. Raises SinkError when a sink
    cannot be opened, and what the source raises.
    """
    said: set[str] = set()

    def on_error(error: Exception) -> None:
        text = str(error)
        if text not in said:
            said.add(text)
            streams.say(escape(text))

    with Pipeline(sinks, accept=names, on_error=on_error) as pipeline, ending(pipeline.stop), open_source() as source:
        timer = None if duration_s is None else threading.Timer(duration_s, pipeline.stop)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            report = pipeline.run(source, count)
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()
        source_counts = counts_of(source)
    for line in summary(report, what, names.unknown_filtered):
        streams.say(line)
    if source_what is not None and source_counts is not None:
        streams.say(f"{source_what}: {counts_text(source_counts, 'before the start or after the end')}")
    return ExitCode.FAILED if report.errors else ExitCode.DONE


@contextmanager
def ending(stop: Callable[[], None]) -> Iterator[None]:
    """Within it SIGINT and SIGTERM call `stop`; a second one interrupts at once. Outside the main thread: nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def counts_of(source: object) -> Counters | None:
    """What a source counted itself, as far as it does."""
    counters = getattr(source, "counters", None)
    return counters if isinstance(counters, Counters) else None


def counts_text(counts: Counters, filtered: str) -> str:
    """Counts in words; `filtered` says why those that are neither delivered nor lost are not."""
    others = f", {counts.filtered} {filtered}" if counts.filtered else ""
    return f"{counts.seen} seen, {counts.delivered} delivered, {counts.lost} lost{others}"


def summary(report: Report, what: str, unknown: int) -> Iterator[str]:
    """The account of a run in lines for a person: first what was seen and what became of it, then where it was lost."""
    yield f"{what}: {counts_text(report.counters, 'filtered out')}"
    if unknown:
        yield f"{unknown} of those filtered out went to channels opened before the start, whose names are not known"
    for (stage, unit), lost in report.lost_before.items():
        yield f"lost before they were events, or at their source: {lost} {unit} at {stage}"
    for sink in report.sinks:
        if sink.counters.lost:
            where = f"{sink.lost_in_queue} waiting, {sink.lost_in_sink} in writing"
            yield f"{escape(sink.name)}: {sink.counters.delivered} delivered, {sink.counters.lost} lost ({where})"

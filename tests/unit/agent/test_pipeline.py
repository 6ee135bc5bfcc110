"""From a source to sinks: every event is accounted for, whatever a sink does."""

from __future__ import annotations

import io
import itertools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epicsmon.agent.filters import NameFilter
from epicsmon.agent.pipeline import Pipeline, Report
from epicsmon.events import Event, Gap, IocEvent, LossUnit, PutEvent, Stage
from epicsmon.sinks.base import Sink, SinkCounters, SinkError, count_events
from epicsmon.sinks.jsonl import JsonLinesSink
from epicsmon.sinks.style import Style
from epicsmon.sinks.text import TextSink
from epicsmon.sinks.tracefile import TraceFileSink
from epicsmon.sinks.tree import TreeSink
from epicsmon.sinks.zipkin import ZipkinSink
from epicsmon.store.query import Store
from epicsmon.store.sqlite import StoreSink
from tests.support.events import chain, gap, ioc_event, put


class Memory:
    """A sink that keeps what it is given, fails when told to, and waits before each write while `hold` is clear."""

    def __init__(self, name: str = "memory", fail: Sequence[Exception | None] = ()) -> None:
        self.name = name
        self.counters = SinkCounters()
        self.events: list[Event] = []
        self.opened = 0
        self.closed = 0
        self.hold = threading.Event()
        self.hold.set()
        self._fail = iter(fail)

    def open(self) -> None:
        self.opened += 1

    def takes(self, event: Event) -> bool:
        return True

    def write(self, batch: Sequence[Event]) -> None:
        self.hold.wait()
        failure = next(self._fail, None)
        if failure is not None:
            self.counters.failed += count_events(batch)
            raise failure
        self.events.extend(batch)
        self.counters.accepted += count_events(batch)

    def close(self) -> None:
        self.closed += 1

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]


def run(events: Sequence[Event], *sinks: Sink, count: int | None = None, **options: object) -> Report:
    with Pipeline(sinks, **options) as pipeline:  # type: ignore[arg-type]
        return pipeline.run(events, count)


def balanced(report: Report) -> bool:
    return report.counters.balanced and all(sink.counters.balanced for sink in report.sinks)


def test_every_sink_gets_every_event_in_order() -> None:
    first, second = Memory(), Memory()
    events: list[Event] = [put(sid=i) for i in range(2000)]
    events[700:700] = [gap(), ioc_event()]
    report = run(events, first, second)
    assert first.events == second.events == events
    assert (report.counters.seen, report.counters.delivered, report.counters.lost) == (2003, 2000, 3)
    assert balanced(report)
    assert (first.opened, first.closed) == (1, 1)


def test_filtered_events_are_counted_and_gaps_are_never_filtered() -> None:
    sink = Memory()
    report = run([put(), gap(), put(pv="X"), ioc_event()], sink, accept=NameFilter(["LINAC:*"]))
    assert sink.events == [put(), gap(), ioc_event()]
    assert (report.counters.seen, report.counters.filtered, report.counters.delivered) == (5, 1, 1)
    assert balanced(report)


def test_it_stops_after_so_many_that_passed() -> None:
    sink = Memory()
    endless = (put(pv=("A" if i % 2 else "B"), sid=i) for i in itertools.count())
    report = run(endless, sink, count=3, accept=NameFilter(["A"]))  # type: ignore[arg-type]
    assert [e.sid for e in sink.events if isinstance(e, PutEvent)] == [1, 3, 5]
    assert (report.counters.seen, report.counters.filtered) == (6, 3)


def test_a_count_of_zero_asks_the_source_for_nothing() -> None:
    asked: list[bool] = []

    def source() -> Iterator[Event]:
        asked.append(True)
        yield put()

    assert run(source(), Memory(), count=0).counters.seen == 0  # type: ignore[arg-type]
    assert asked == []


def test_losses_before_the_pipeline_count_as_seen_and_lost_when_they_are_events() -> None:
    report = run([gap(5), gap(2), gap(1460, Stage.STREAM, LossUnit.BYTES), put()], Memory())
    assert report.lost_before == {("ring", "events"): 7, ("stream", "bytes"): 1460}
    assert (report.counters.seen, report.counters.delivered, report.counters.lost) == (8, 1, 7)
    assert report.gaps == 3


def test_a_sink_that_hangs_loses_only_its_own_events_and_says_so() -> None:
    stuck, quick = Memory("stuck"), Memory("quick")
    stuck.hold.clear()
    released: list[int] = []

    def source() -> Iterator[Event]:
        yield from (put(sid=i) for i in range(3000))
        while len(quick.events) < 3000:
            time.sleep(0.001)
        released.append(len(quick.events))
        stuck.hold.set()

    report = run(source(), stuck, quick, queue_limit=1000)  # type: ignore[arg-type]
    assert released == [3000]
    held, free = report.sinks
    assert (free.counters.delivered, free.counters.lost) == (3000, 0)
    assert held.lost_in_queue == held.counters.lost > 0
    assert held.counters.delivered == count_events(stuck.events) >= 1000
    (lost,) = stuck.gaps
    assert (lost.stage, lost.lost, lost.detail) == (Stage.QUEUE, held.counters.lost, "stuck does not keep up")
    assert balanced(report)


def test_a_gap_stands_where_the_events_are_missing() -> None:
    sink = Memory()
    sink.hold.clear()

    def source() -> Iterator[Event]:
        yield from (put(sid=i) for i in range(100))
        sink.hold.set()
        while len(sink.events) < 50:
            time.sleep(0.001)
        yield put(sid=100)

    run(source(), sink, queue_limit=30)  # type: ignore[arg-type]
    kinds = [e.sid if isinstance(e, PutEvent) else e for e in sink.events]
    (lost,) = sink.gaps
    at = kinds.index(lost)
    before, after = kinds[at - 1], kinds[at + 1]
    assert isinstance(before, int)
    assert after == 100
    assert lost.lost == 99 - before


def test_a_failed_write_is_lost_counted_and_becomes_a_gap_before_the_next() -> None:
    broken = Memory("db", [SinkError("db", "disk full")])
    heard: list[SinkError] = []
    report = run([put(), put()], broken, on_error=heard.append)
    (account,) = report.sinks
    assert account.lost_in_sink == broken.counters.failed > 0
    assert [g.stage for g in broken.gaps] == [Stage.SINK]
    assert broken.gaps[0].lost == account.lost_in_sink
    assert [str(error) for error in heard] == ["db: disk full"]
    assert balanced(report)


def test_a_gap_that_could_not_be_written_is_written_later() -> None:
    broken = Memory("db", [SinkError("db", "disk full")])
    run([gap(7), put()], broken)
    assert [g.lost for g in broken.gaps if g.stage is Stage.RING] == [7]


def test_a_fault_inside_a_sink_is_reported_and_does_not_end_the_run() -> None:
    report = run([put()], Memory("faulty", [ZeroDivisionError("oh")]), Memory())
    assert [str(e) for e in report.errors] == ["faulty: ZeroDivisionError: oh"]
    assert [s.counters.delivered for s in report.sinks] == [0, 1]
    assert balanced(report)


def test_the_end_of_the_reader_ends_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        forever = (put(sid=i) for i in itertools.count())
        report = run(forever, TextSink(stream, Style()))  # type: ignore[arg-type]
        os.dup2(devnull := os.open(os.devnull, os.O_WRONLY), writing)
        os.close(devnull)
    assert report.errors == ()
    assert report.counters.delivered == 0
    assert balanced(report)


def test_what_the_source_raises_comes_out_after_the_sinks_have_finished() -> None:
    def source() -> Iterator[Event]:
        yield put()
        raise OSError("the ring is gone")

    sink = Memory()
    with pytest.raises(OSError, match="the ring is gone"):
        run(source(), sink)  # type: ignore[arg-type]
    assert (sink.events, sink.closed) == ([put()], 1)


def test_an_interrupt_ends_the_run_with_a_report() -> None:
    def source() -> Iterator[Event]:
        yield put()
        raise KeyboardInterrupt

    report = run(source(), Memory())  # type: ignore[arg-type]
    assert report.counters.delivered == 1


def test_stop_reaches_a_source_that_is_waiting() -> None:
    class Waiting:
        def __init__(self) -> None:
            self._stop = threading.Event()

        def __iter__(self) -> Iterator[Event]:
            yield put()
            self._stop.wait()

        def stop(self) -> None:
            self._stop.set()

    sink = Memory()
    with Pipeline([sink]) as pipeline:
        threading.Timer(0.05, pipeline.stop).start()
        report = pipeline.run(Waiting())
    assert report.counters.delivered == 1


def test_a_sink_that_never_comes_back_does_not_hold_up_the_end() -> None:
    stuck = Memory("stuck")
    stuck.hold.clear()
    report = run([put() for _ in range(1000)], stuck, finish_s=0.1)
    stuck.hold.set()
    assert report.counters.delivered == 0
    assert report.counters.lost == 1000
    assert "not finished" in str(report.errors[0])
    assert balanced(report)


def test_when_one_sink_cannot_be_opened_the_others_are_closed(tmp_path: Path) -> None:
    good = Memory()
    with pytest.raises(SinkError, match="No such file"):
        run([], good, TraceFileSink(tmp_path / "nowhere" / "t.jsonl"))
    assert (good.opened, good.closed) == (1, 1)


def test_sinks_are_closed_when_nothing_ran(tmp_path: Path) -> None:
    sink = StoreSink(tmp_path / "store.db")
    with pytest.raises(PermissionError), Pipeline([sink]):
        raise PermissionError
    with pytest.raises(SinkError, match="not open"):
        sink.write([put()])


def test_all_the_real_sinks_together(tmp_path: Path) -> None:
    text, trees, lines = io.StringIO(), io.StringIO(), io.StringIO()
    events: list[Event] = [put(), chain(1), gap(), ioc_event(), chain(2)]
    store, trace = tmp_path / "store.db", tmp_path / "trace.jsonl"
    sinks: list[Sink] = [TextSink(text), TreeSink(trees), JsonLinesSink(lines), StoreSink(store), TraceFileSink(trace)]
    report = run(events, *sinks)
    assert [s.counters.delivered for s in report.sinks] == [1, 2, 3, 3, 2]
    assert [s.counters.filtered for s in report.sinks] == [2, 1, 0, 0, 1]
    assert (report.counters.delivered, report.errors) == (3, ())
    assert len(text.getvalue().splitlines()) == 3
    assert len(lines.getvalue().splitlines()) == 5
    assert trees.getvalue().count("ca-client") == 2
    with Store(store) as found:
        assert found.counts() == {"puts": 1, "spans": 10, "gaps": 1, "ioc_events": 1, "chains": 2}
    assert balanced(report)


def test_a_zipkin_server_that_is_down_costs_the_other_sinks_nothing() -> None:
    pytest.importorskip("opentelemetry.exporter.zipkin.proto.http", reason="needs the extra epicsmon[zipkin]")
    lines = io.StringIO()
    report = run([chain(1), chain(2)], ZipkinSink("http://127.0.0.1:1"), JsonLinesSink(lines))
    down, good = report.sinks
    assert (down.counters.delivered, down.lost_in_sink, good.counters.delivered) == (0, 2, 2)
    assert "is it running?" in str(report.errors[0])
    assert balanced(report)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([put(), put(pv="X"), put(pv=None), chain(), gap(), ioc_event()]), max_size=60),
    st.lists(st.sampled_from([None, SinkError("m", "no"), ValueError("no")]), max_size=6),
    st.integers(1, 8),
)
def test_the_account_always_balances(events: list[Event], failures: list[Exception | None], limit: int) -> None:
    failing, sound = Memory("m", failures), Memory()
    report = run(events, failing, sound, accept=NameFilter(["LINAC:*", "HV:*"]), queue_limit=limit)
    assert balanced(report)
    assert [s.lost_in_sink for s in report.sinks] == [failing.counters.failed, sound.counters.failed]
    passed = [e for e in events if isinstance(e, (Gap, IocEvent)) or NameFilter(["LINAC:*", "HV:*"]).accepts(e)]
    assert report.counters.delivered + sum(s.lost_in_queue + s.lost_in_sink for s in report.sinks) >= count_events(
        passed
    )

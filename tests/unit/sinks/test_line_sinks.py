"""JSON lines, and how sinks of lines and of files fail."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given

from epicsmon.events import Event
from epicsmon.sinks.base import SinkClosed, SinkError
from epicsmon.sinks.jsonl import JsonLinesSink
from epicsmon.sinks.text import TextSink
from epicsmon.sinks.tracefile import TraceFileSink
from tests.support.events import chain, gap, ioc_event, put, puts, span


def test_one_json_object_a_line_for_every_kind_of_event() -> None:
    stream = io.StringIO()
    sink = JsonLinesSink(stream)
    events: list[Event] = [put(), gap(), ioc_event(), chain(), span()]
    assert all(map(sink.takes, events))
    sink.write(events)
    lines = stream.getvalue().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["put", "gap", "ioc", "chain", "span"]
    assert json.loads(lines[0]) == put().to_json()
    assert sink.counters.accepted == 3


@given(puts)
def test_any_put_is_one_ascii_line_of_strict_json(event: object) -> None:
    stream = io.StringIO()
    JsonLinesSink(stream).write([event])  # type: ignore[list-item]
    (line,) = stream.getvalue().split("\n")[:-1]
    assert line.isascii()
    assert line.isprintable()
    json.loads(line, parse_constant=pytest.fail)


def test_a_reader_that_has_gone_closes_the_sink() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        sink = TextSink(stream)
        with pytest.raises(SinkClosed):
            sink.write([put(), gap()])
        assert (sink.counters.accepted, sink.counters.failed) == (0, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_that_is_counted() -> None:
    sink = TraceFileSink("/dev/full")
    sink.open()
    with pytest.raises(SinkError, match="No space left"):
        sink.write([chain(), chain(2)])
    sink.close()
    assert (sink.counters.accepted, sink.counters.failed) == (0, 2)


def test_a_trace_file_has_one_span_a_line_and_the_gaps(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    batches: tuple[list[Event], ...] = ([chain(1), gap()], [chain(2)])
    for events in batches:
        sink = TraceFileSink(path)
        sink.open()
        sink.write(events)
        sink.close()
        sink.close()
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [item["event"] for item in found] == ["span"] * 5 + ["gap"] + ["span"] * 5
    assert found[0] == chain(1).root.to_json()
    assert found[4]["parent_id"] == found[3]["span_id"]


def test_a_batch_that_does_not_fit_leaves_no_half_line(tmp_path: Path) -> None:
    import resource
    import signal

    path = tmp_path / "trace.jsonl"
    sink = TraceFileSink(path)
    sink.open()
    sink.write([chain(1)])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
    try:
        with pytest.raises(SinkError, match="too large"):
            sink.write([chain(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    sink.write([chain(3)])
    sink.close()
    assert len(path.read_text().splitlines()) == 10
    assert (sink.counters.accepted, sink.counters.failed) == (2, 1)


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="No such file"):
        TraceFileSink(tmp_path / "nowhere" / "trace.jsonl").open()

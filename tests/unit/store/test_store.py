"""The store gives back what it was given, and knows its own files."""

from __future__ import annotations

import math
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epicsmon.events import Chain, Event, Gap, PutEvent, Span
from epicsmon.sinks.base import SinkError
from epicsmon.store.query import Store
from epicsmon.store.schema import VERSION
from epicsmon.store.sqlite import StoreError, StoreSink, connect
from epicsmon.store.values import from_cells, to_cells
from tests.support.events import TIME_NS, chain, gap, gaps, ioc_event, put, puts, span, spans, values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def fill(path: Path, *batches: Sequence[Event]) -> StoreSink:
    sink = StoreSink(path)
    sink.open()
    for batch in batches:
        sink.write(batch)
    sink.close()
    return sink


def test_every_kind_of_event_comes_back(path: Path) -> None:
    sink = fill(path, [put(), gap(), chain(), ioc_event()])
    assert sink.counters.accepted == 2
    with Store(path) as store:
        assert list(store.puts()) == [put()]
        assert list(store.chains()) == [chain()]
        assert list(store.gaps()) == [gap()]
        assert list(store.ioc_events()) == [ioc_event()]
        assert store.counts() == {"puts": 1, "spans": 5, "gaps": 1, "ioc_events": 1, "chains": 1}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(puts, max_size=4), st.lists(spans, max_size=4), st.lists(gaps, max_size=4))
def test_any_events_come_back_as_they_were(put_s: list[PutEvent], span_s: list[Span], gap_s: list[Gap]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        fill(path, [*put_s, *span_s, *gap_s])
        with Store(path) as store:
            assert sorted(map(repr, store.puts())) == sorted(map(repr, put_s))
            assert sorted(map(repr, store.gaps())) == sorted(map(repr, gap_s))
            assert list(store.chains()) == [Chain((s,)) for s in reversed(span_s)]


@given(values)
def test_any_value_reads_back(value: object) -> None:
    cell, kind = to_cells(value)  # type: ignore[arg-type]
    found = from_cells(cell, kind)
    assert (found, type(found)) == (value, type(value))


def test_nan_reads_back_alone_and_in_arrays() -> None:
    assert math.isnan(from_cells(*to_cells(math.nan)))  # type: ignore[arg-type]
    assert str(from_cells(*to_cells((1.5, math.nan, -math.inf)))) == "(1.5, nan, -inf)"


@given(st.none() | st.integers() | st.text() | st.binary(), st.sampled_from(["float", "int", "str", "bytes", "odd"]))
def test_cells_of_another_hand_give_a_value_or_a_value_error(cell: object, kind: str) -> None:
    try:
        from_cells(cell, kind)  # type: ignore[arg-type]
    except ValueError:
        return
    assert kind != "odd"


def test_numbers_can_be_compared_in_sql(path: Path) -> None:
    fill(path, [put(value=v) for v in (9.5, 10, 11.0, "12", (13.0,))])
    with sqlite3.connect(path) as connection:
        found = connection.execute(
            "SELECT value FROM puts WHERE value > 9.6 AND value_type IN ('int', 'float') ORDER BY value"
        ).fetchall()
    connection.close()
    assert found == [(10,), (11.0,)]


def test_puts_by_name_time_and_number_newest_first(path: Path) -> None:
    fill(path, [put(pv=f"HV:{i}", time_ns=TIME_NS + i) for i in range(5)], [put(pv=None, time_ns=TIME_NS + 9)])
    with Store(path) as store:
        assert [p.pv for p in store.puts(limit=2)] == [None, "HV:4"]
        assert [p.pv for p in store.puts(pv="HV:[!13]")] == ["HV:4", "HV:2", "HV:0"]
        assert [p.pv for p in store.puts(since_ns=TIME_NS + 1, until_ns=TIME_NS + 3)] == ["HV:2", "HV:1"]
        assert list(store.puts(pv="hv:*")) == []


def test_chains_are_whole_and_found_by_any_record_in_them(path: Path) -> None:
    other = Chain((span(900, trace_id=9, record="VAC:P"),))
    fill(path, [chain(1), other], [chain(2)])
    with Store(path) as store:
        assert list(store.chains(record="HV:ST*")) == [chain(2), chain(1)]
        assert list(store.chains(record="VAC:*")) == [other]
        assert list(store.chains(limit=1)) == [chain(2)]


def test_a_batch_is_written_whole_or_not_at_all(path: Path) -> None:
    sink = fill(path, [put()])
    sink.open()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON gaps BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    other.close()
    with pytest.raises(SinkError, match="disk is full"):
        sink.write([put(), put(), gap()])
    sink.write([put(pv="AFTER")])
    sink.close()
    assert (sink.counters.accepted, sink.counters.failed) == (2, 2)
    with Store(path) as store:
        assert [p.pv for p in store.puts()] == ["AFTER", "LINAC:MAG:Q12:SET"]


def test_a_reader_sees_batches_while_the_writer_goes_on(path: Path) -> None:
    sink = StoreSink(path)
    sink.open()
    sink.write([put()])
    with Store(path) as store:
        assert store.counts()["puts"] == 1
        sink.write([put()])
        assert store.counts()["puts"] == 2
    sink.close()


def test_text_that_is_no_utf8_is_kept_as_escapes(path: Path) -> None:
    fill(path, [put(pv="A\udc80", user="\udc81", value="\udc82")])
    with Store(path) as store:
        (found,) = store.puts()
    assert (found.pv, found.user, found.value) == ("A\\udc80", "\\udc81", "\\udc82")


def test_another_programs_database_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    for create in (True, False):
        with pytest.raises(StoreError, match="is no store of epicsmon"):
            connect(path, create=create)
    with pytest.raises(SinkError, match="is no store of epicsmon"):
        StoreSink(path).open()
    assert path.read_bytes() == before


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"put log\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        connect(path)


def test_a_store_of_another_version_is_left_alone(path: Path) -> None:
    fill(path, [put()])
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {VERSION + 1}")
    other.close()
    with pytest.raises(SinkError, match=f"has version {VERSION + 1}, this epicsmon reads version {VERSION}"):
        StoreSink(path).open()


def test_reading_does_not_make_a_file(path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(path)
    assert not path.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be opened"):
        StoreSink(tmp_path / "nowhere" / "store.db").open()


def test_a_path_with_signs_of_a_uri(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=ro#%41.db"
    fill(path, [put()])
    assert path.exists()

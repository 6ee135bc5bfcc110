"""Chains as people read them."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from epicsmon.events import Chain
from epicsmon.sinks.format import value_text
from epicsmon.sinks.style import Style
from epicsmon.sinks.tree import TreeSink
from epicsmon.text import local_clock
from tests.support.events import TIME_NS, chain, gap, put, span, spans


def written(*events: object, style: Style | None = None) -> list[str]:
    stream = io.StringIO()
    TreeSink(stream, style or Style()).write(list(events))  # type: ignore[arg-type]
    return stream.getvalue().splitlines()


def test_a_chain_is_a_tree_with_values_severities_and_times() -> None:
    assert written(chain()) == [
        f"{local_clock(TIME_NS)} ioc-HV  ca-client (CAS-client)  5 calls  100 us",
        "  dbPutField HV:SET.VAL (calc)  15.0  NO_ALARM            100 us  self  20.0 us",
        "  `- HV:SET (ao)                15.0  NO_ALARM           80.0 us  self  30.0 us",
        "     |- HV:LIMIT (calc)         1     MAJOR HIHI         20.0 us  self  20.0 us",
        "     `- HV:RAMP (calc)          15.0  NO_ALARM           30.0 us  self  20.0 us  async",
        '        `- HV:STEP (calc)       "up"  NO_ALARM           10.0 us  self  10.0 us',
    ]


def test_boxes_where_the_stream_can_show_them() -> None:
    lines = written(chain(), style=Style(boxes=True))
    assert lines[3].startswith("     ├─ HV:LIMIT")
    assert lines[4].startswith("     └─ HV:RAMP")


def test_a_tree_continues_its_bars_past_the_children_of_a_middle_sibling() -> None:
    lines = written(Chain((span(1), span(2, 1, record="A"), span(3, 2, record="B"), span(4, 1, record="C"))))
    assert [line.split(" (")[0] for line in lines[1:]] == ["  HV:RAMP", "  |- A", "  |  `- B", "  `- C"]


def test_what_is_unknown_is_said_or_left_out() -> None:
    lines = written(Chain((span(record=None, record_type=None, thread=None, value=None, status=None, severity=None),)))
    assert "  unknown  1 call  " in lines[0]
    assert lines[1].split() == ["unknown", "12.4", "us", "self", "12.4", "us"]


def test_a_major_alarm_is_red_on_a_terminal() -> None:
    coloured = written(chain(), style=Style(colour=True))[3]
    assert "\x1b[31mMAJOR HIHI" in coloured


@given(st.lists(spans, min_size=1, max_size=5, unique_by=lambda s: s.span_id))
def test_any_chain_is_a_head_and_one_printable_line_a_span(members: list[object]) -> None:
    lines = written(Chain(tuple(members)))  # type: ignore[arg-type]
    assert len(lines) == 1 + len(members)
    assert all(line.isprintable() for line in lines)


def test_a_chain_a_thousand_calls_deep_is_drawn() -> None:
    deep = Chain(tuple(span(i + 1, i or None) for i in range(1000)))
    assert len(written(deep)) == 1001


def test_gaps_stand_between_the_trees() -> None:
    assert written(gap())[0].endswith("-- lost 3 events at ring: ring full")


def test_it_takes_no_puts() -> None:
    sink = TreeSink(io.StringIO())
    assert sink.takes(chain())
    assert not sink.takes(put())


def test_an_array_put_says_how_many_elements_it_had() -> None:
    first = (1.0, 2.0, 3.0)
    assert value_text(first, count=64) == "[1.0 2.0 3.0 ... (64)]"
    assert value_text(first, count=3) == value_text(first) == "[1.0 2.0 3.0]"
    assert value_text(b"\x01\x02\xff", count=100) == "0x0102ff... (100 bytes)"

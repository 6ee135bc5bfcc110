"""The put log as people read it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given

from epicsmon.events import Endpoint
from epicsmon.sinks.style import Style
from epicsmon.sinks.text import TextSink
from epicsmon.text import local_clock
from tests.support.events import TIME_NS, chain, gap, ioc_event, put, puts

CLOCK = local_clock(TIME_NS)


def written(*events: object, style: Style | None = None) -> list[str]:
    stream = io.StringIO()
    sink = TextSink(stream, style or Style())
    sink.write(list(events))  # type: ignore[arg-type]
    return stream.getvalue().splitlines()


def test_a_put_is_one_line() -> None:
    assert written(put()) == [
        f"{CLOCK} LINAC:MAG:Q12:SET 15.0     alice@opi07 10.1.2.7:50662  -> 10.1.2.3:5064",
    ]


def test_columns_stay_aligned_once_they_have_widened() -> None:
    lines = written(put(pv="A"), put(pv="A:LONGER:NAME:THAN:THE:FIRST"), put(pv="B"))
    assert lines[1].index("15.0") == lines[2].index("15.0") > lines[0].index("15.0")


def test_a_put_callback_says_so() -> None:
    assert written(put(notify=True))[0].endswith("-> 10.1.2.3:5064 put-callback")


def test_an_unknown_channel_shows_what_is_known() -> None:
    line = written(put(pv=None, pv_source=None, user=None, host=None, value=None))[0]
    assert "unknown(sid=12 10.1.2.7:50662) unknown  unknown@unknown" in line


def test_ipv6_ends_are_bracketed() -> None:
    assert written(put(client=Endpoint("fe80::1", 5000)))[0].count("[fe80::1]:5000 ") == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, "7"),
        (float("nan"), "NaN"),
        ('say "on"\n', '"say \\"on\\"\\n"'),
        (b"/data/run7\0\0", '"/data/run7"'),
        (b"\x01\xff", "0x01ff"),
        (b"\xff" * 1000, "0x" + "ff" * 30 + "... (1000 bytes)"),
        ((1, 2.5, 3), "[1 2.5 3]"),
        ((), "[]"),
        ((1 / 3, 2.0, -1e-9 / 3, 4.0), "[0.333333 2.0 ... (4)]"),
        ((float("nan"), float("inf")), "[NaN Infinity]"),
        (tuple(range(1000)), "[0 1 2 3 4 5 6 7 8 9 ... (1000)]"),
        ("x" * 100, '"' + "x" * 60 + '..."'),
    ],
)
def test_values(value: object, shown: str) -> None:
    assert f" {shown} " in written(put(value=value))[0]


def test_gaps_and_ioc_events_are_lines_of_their_own() -> None:
    assert written(gap(), ioc_event()) == [
        f"{CLOCK} -- lost 3 events at ring: ring full",
        f"{CLOCK} -- IOC ioc-HV (pid 4711) started: /opt/ioc/st.cmd",
    ]


def test_names_from_the_network_cannot_steer_the_terminal() -> None:
    line = written(put(pv="\x1b]0;owned\x07", user="eve\r\n", host="\x9b31m", value="\x1b[2J"))[0]
    assert line.isprintable()
    assert "eve\\r\\n@\\x9b31m" in line


@given(puts)
def test_any_put_is_one_printable_line(event: object) -> None:
    lines = written(event)
    assert len(lines) == 1
    assert lines[0].isprintable()


def test_colour_only_when_asked_for() -> None:
    assert "\x1b" not in written(put())[0]
    assert "\x1b[1m" in written(put(), style=Style(colour=True))[0]


class Terminal(io.StringIO):
    encoding = "UTF-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "colour"),
    [({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_style_of_a_terminal(environ: dict[str, str], colour: bool) -> None:
    assert Style.of(Terminal(), environ) == Style(colour=colour, boxes=True)


def test_style_of_a_pipe_has_no_colour() -> None:
    assert not Style.of(io.StringIO(), {"TERM": "xterm"}).colour


def test_it_takes_no_chains() -> None:
    sink = TextSink(io.StringIO())
    assert sink.takes(put())
    assert not sink.takes(chain())

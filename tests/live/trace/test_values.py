"""Names and values of spans against what the IOC's own shell says."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import pytest

from epicsmon.events import SpanKind
from tests.support.clients import CaClient
from tests.support.epics import RealIoc
from tests.support.tracing import Tracer

LONG = "sixty_characters_with_the_prefix_are_all_that_Base_takes__"
STATES = 'field(ZRST, "zero") field(ONST, "one") field(TWST, "two") field(THST, "three")'
LIMITS = 'field(HIHI, "10") field(HHSV, "MAJOR") field(HIGH, "5") field(HSV, "MINOR")'
DATABASE = f"""
record(ai, "V:ai") {{ {LIMITS} }}
record(ao, "V:ao") {{ {LIMITS} }}
record(bi, "V:bi") {{ field(ZNAM, "Shut") field(ONAM, "Open") field(OSV, "MAJOR") }}
record(bo, "V:bo") {{ field(ZNAM, "Shut") field(ONAM, "Open") field(COSV, "MINOR") }}
record(calc, "V:calc") {{ field(CALC, "A*A") {LIMITS} }}
record(calcout, "V:calcout") {{ field(CALC, "A+0.5") {LIMITS} }}
record(dfanout, "V:dfanout") {{ {LIMITS} }}
record(event, "V:event") {{ field(VAL, "beam on") }}
record(fanout, "V:fanout") {{ }}
record(int64in, "V:int64in") {{ }}
record(int64out, "V:int64out") {{ }}
record(longin, "V:longin") {{ {LIMITS} }}
record(longout, "V:longout") {{ {LIMITS} }}
record(mbbi, "V:mbbi") {{ {STATES} field(THSV, "MAJOR") }}
record(mbbo, "V:mbbo") {{ {STATES} field(TWSV, "MINOR") }}
record(mbbiDirect, "V:mbbiDirect") {{ }}
record(mbboDirect, "V:mbboDirect") {{ }}
record(permissive, "V:permissive") {{ }}
record(sel, "V:sel") {{ field(SELM, "High Signal") field(B, "7") field(C, "-3") {LIMITS} }}
record(seq, "V:seq") {{ }}
record(state, "V:state") {{ }}
record(stringin, "V:stringin") {{ }}
record(stringout, "V:stringout") {{ }}
record(sub, "V:sub") {{ field(SNAM, "asSubProcess") }}
record(aSub, "V:aSub") {{ }}
record(waveform, "V:wave") {{ field(FTVL, "DOUBLE") field(NELM, "100") }}
record(waveform, "V:chars") {{ field(FTVL, "CHAR") field(NELM, "200") }}
record(waveform, "V:strings") {{ field(FTVL, "STRING") field(NELM, "5") }}
record(ai, "V:disabled") {{ field(DISV, "1") field(DISA, "1") field(DISS, "MINOR") }}
record(calc, "V:broken") {{ field(INPA, "V:nowhere") field(CALC, "A") }}
record(calc, "V:{LONG}") {{ }}
"""
PUTS = [
    ("ai", "12.5"),
    ("ai", "-0.25"),
    ("ai", "1e300"),
    ("ao", "7.5"),
    ("ao", "0"),
    ("bi", "Open"),
    ("bi", "Shut"),
    ("bo", "1"),
    ("bo", "0"),
    ("calc.A", "3"),
    ("calc.A", "1.5"),
    ("calcout.A", "4.75"),
    ("dfanout", "11"),
    ("event.PROC", "1"),
    ("fanout", "3"),
    ("int64in", "-9007199254740993"),
    ("int64out", "9223372036854775807"),
    ("longin", "-2147483648"),
    ("longout", "6"),
    ("mbbi", "three"),
    ("mbbo", "2"),
    ("mbbiDirect", "5"),
    ("mbboDirect", "65535"),
    ("permissive", "1"),
    ("sel.A", "6.25"),
    ("seq", "9"),
    ("state", "Shutdown"),
    ("stringin", "thirty-nine characters are all that fit"),
    ("stringout", ""),
    ("stringout", "x"),
    ("sub.PROC", "1"),
    ("aSub.PROC", "1"),
    ("disabled.PROC", "1"),
    (f"{LONG}.A", "2"),
]


@pytest.fixture
def ioc(make_ioc: Callable[..., RealIoc]) -> RealIoc:
    return make_ioc(DATABASE)


def same(value: object, shown: str) -> bool:
    """Whether a span's value is what dbgf prints: numbers to the six digits it shows, states by their names."""
    if shown.startswith('"'):
        text = shown[1:-1]
        states = {"Shut": 0, "Open": 1, "zero": 0, "one": 1, "two": 2, "three": 3}
        return value == text or (isinstance(value, int) and value == states.get(text))
    if isinstance(value, float):
        return math.isclose(value, float(shown), rel_tol=1e-5) or (math.isnan(value) and "nan" in shown.lower())
    return value == int(shown.split()[0])


def test_spans_name_records_and_carry_the_values_and_alarms_that_the_ioc_shows(ioc: RealIoc) -> None:
    severities = set()
    with Tracer(ioc) as tracer:
        for target, value in PUTS:
            seen = len(tracer.events)
            name = "V:" + target.partition(".")[0]
            ioc.put(f"V:{target}", value)
            span = tracer.span(name, after=seen)
            shown = {field: ioc.get(f"{name}.{field}") for field in ("VAL", "STAT", "SEVR", "RTYP")}
            assert same(span.value, shown["VAL"]), (target, value, span, shown)
            assert (span.status, span.severity) == (shown["STAT"].strip('"'), shown["SEVR"].strip('"')), (target, value)
            assert span.record_type == shown["RTYP"].strip('"')
            assert span.active is False
            assert (span.ioc, span.pid) == ("testioc", ioc.pid)
            severities.add(span.severity)
        assert tracer.finish().lost == 0
    assert severities == {"NO_ALARM", "MINOR", "MAJOR"}


def test_a_link_to_nowhere_leaves_the_record_invalid(ioc: RealIoc) -> None:
    with Tracer(ioc) as tracer:
        ioc.put("V:broken.PROC", "1")
        span = tracer.span("V:broken")
        assert (span.status, span.severity) == ("LINK", "INVALID")
        assert (span.status, span.severity) == (
            ioc.get("V:broken.STAT").strip('"'),
            ioc.get("V:broken.SEVR").strip('"'),
        )


def put_of(tracer: Tracer, record: str, after: int) -> object:
    return tracer.span(record, SpanKind.PUT_FIELD, after=after).value


def test_puts_of_every_kind_carry_the_value_that_was_put(ioc: RealIoc, libca: Callable[..., CaClient]) -> None:
    client = libca(ioc)
    ramp = [float(n) / 4 for n in range(100)]
    with Tracer(ioc) as tracer:

        def put(name: str, value: object) -> object:
            seen = len(tracer.events)
            client.put(name, value)
            return put_of(tracer, name.partition(".")[0], seen)

        assert put("V:ao", 1.25) == 1.25
        assert put("V:longout", -7) == -7
        assert put("V:stringout", "hello") == "hello"
        assert put("V:mbbo", 2) == 2
        assert put("V:mbbo", "three") == 3, "pyepics looks the state up and puts its number"
        assert put("V:ao.SCAN", 0) == 0
        assert put("V:ao.HHSV", "MINOR") == 1
        assert put("V:wave", ramp[:5]) == tuple(ramp[:5])
        assert put("V:wave", ramp) == tuple(ramp[:8]), "64 bytes of it"
        assert put("V:chars", [1, 2, 255]) == b"\1\2\xff"
        assert put("V:strings", ["one", "two"]) == ("one",), "64 bytes hold one string of 40"
        # DBR_SHORT, DBR_FLOAT, DBR_CHAR as a C client may send them to any channel (db_access.h)
        for dbr, data, expected in ((1, struct.pack("<h", -5), -5), (2, struct.pack("<f", 2.5), 2.5), (4, b"\7", 7)):
            seen = len(tracer.events)
            client.put_raw("V:ao", dbr, 1, data)
            assert put_of(tracer, "V:ao", seen) == expected
        seen = len(tracer.events)
        ioc.put("V:ao", "3.5")
        assert put_of(tracer, "V:ao", seen) == "3.5", "dbpf puts strings"
        assert tracer.finish().lost == 0


def test_a_put_names_the_field_it_went_to(ioc: RealIoc, libca: Callable[..., CaClient]) -> None:
    client = libca(ioc)
    with Tracer(ioc) as tracer:
        for field in ("VAL", "HIGH", "DESC", "SCAN", "PROC", "DISV"):
            seen = len(tracer.events)
            client.put(f"V:ai.{field}", 0 if field != "DESC" else "text")
            assert tracer.span("V:ai", SpanKind.PUT_FIELD, after=seen).field == field


def test_an_array_in_a_record_is_not_in_its_span(ioc: RealIoc, libca: Callable[..., CaClient]) -> None:
    client = libca(ioc)
    with Tracer(ioc) as tracer:
        client.put("V:wave", [1.0, 2.0])
        span = tracer.span("V:wave")
        assert (span.value, span.status, span.record_type) == (None, "NO_ALARM", "waveform")

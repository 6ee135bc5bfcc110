"""Events: what they say of themselves in JSON, and how chains hang together."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.events import (
    Chain,
    Endpoint,
    Gap,
    IocEvent,
    IocEventKind,
    LossUnit,
    Provenance,
    PutEvent,
    Span,
    SpanKind,
    Stage,
    Trigger,
    value_to_json,
)

CLIENT = Endpoint("10.1.2.7", 50662)
SERVER = Endpoint("10.1.2.3", 5064)


def put(**changes: object) -> PutEvent:
    fields: dict[str, object] = {
        "time_ns": 1_591_203_809_123_456_789,
        "pv": "LINAC:MAG:Q12:SET",
        "pv_source": Provenance.WIRE,
        "value": 15.0,
        "dbr_type": 6,
        "count": 1,
        "notify": False,
        "client": CLIENT,
        "server": SERVER,
        "user": "alice",
        "host": "opi07",
        "sid": 12,
    }
    return PutEvent(**{**fields, **changes})  # type: ignore[arg-type]


def span(span_id: int, parent_id: int | None = None, start_ns: int = 0, duration_ns: int = 10) -> Span:
    return Span(
        trace_id=7,
        span_id=span_id,
        parent_id=parent_id,
        kind=SpanKind.PROCESS,
        record=f"R{span_id}",
        record_type="calc",
        field=None,
        start_ns=start_ns,
        duration_ns=duration_ns,
        pid=100,
        tid=101,
        ioc="ioc-mag3",
    )


def test_a_put_keeps_every_field_in_json() -> None:
    assert put(cid=3, ioid=9, namespace=4026531840).to_json() == {
        "event": "put",
        "time": "2020-06-03T17:03:29.123456789Z",
        "time_ns": 1591203809123456789,
        "pv": "LINAC:MAG:Q12:SET",
        "pv_source": "wire",
        "value": 15.0,
        "dbr_type": 6,
        "count": 1,
        "notify": False,
        "client": "10.1.2.7:50662",
        "server": "10.1.2.3:5064",
        "user": "alice",
        "host": "opi07",
        "sid": 12,
        "cid": 3,
        "ioid": 9,
        "namespace": 4026531840,
    }


def test_what_is_unknown_is_null() -> None:
    json_ = put(pv=None, pv_source=None, value=None, user=None, host=None).to_json()
    assert [k for k, v in json_.items() if v is None] == [
        "pv", "pv_source", "value", "user", "host", "cid", "ioid", "namespace",
    ]  # fmt: skip


def test_ids_are_hexadecimal_of_full_width() -> None:
    json_ = span(0xAB, parent_id=0xCD).to_json()
    assert json_["trace_id"] == "0" * 31 + "7"
    assert (json_["span_id"], json_["parent_id"]) == ("00000000000000ab", "00000000000000cd")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ((1.5, math.nan), [1.5, "NaN"]),
        (b"Hello\0\0", {"hex": "48656c6c6f0000", "text": "Hello"}),
        (b"\xff\x01", {"hex": "ff01"}),
        (b"", {"hex": ""}),
        (None, None),
        ("on", "on"),
    ],
)
def test_values_in_json(value: object, expected: object) -> None:
    assert value_to_json(value) == expected  # type: ignore[arg-type]


scalars = st.one_of(st.integers(), st.floats(), st.text())


@given(st.one_of(st.none(), scalars, st.binary(), st.lists(scalars).map(tuple)))
def test_any_value_is_strict_json(value: object) -> None:
    json.dumps(put(value=value).to_json(), allow_nan=False)


def test_gap_and_ioc_event_in_json() -> None:
    gap = Gap(1_000_000_001, Stage.STREAM, 1460, "10.1.2.7:50662 -> 10.1.2.3:5064", LossUnit.BYTES).to_json()
    assert (gap["event"], gap["stage"], gap["lost"], gap["unit"]) == ("gap", "stream", 1460, "bytes")
    assert gap["time"] == "1970-01-01T00:00:01.000000001Z"
    ioc = IocEvent(0, IocEventKind.STARTED, 42, "ioc-mag3", "/opt/ioc").to_json()
    assert (ioc["event"], ioc["kind"], ioc["pid"], ioc["name"]) == ("ioc", "started", 42, "ioc-mag3")


@given(st.ip_addresses().map(str), st.integers(0, 65535))
def test_an_endpoint_reads_back(host: str, port: int) -> None:
    assert Endpoint.parse(str(Endpoint(host, port))) == Endpoint(host, port)


def test_an_endpoint_needs_a_port() -> None:
    with pytest.raises(ValueError, match="no port"):
        Endpoint.parse("opi07")


@pytest.mark.parametrize(
    ("comm", "trigger"),
    [
        ("CAS-client", Trigger.CA_CLIENT),
        ("scan-0.1", Trigger.SCAN),
        ("scan-10", Trigger.SCAN),
        ("scanOnce", Trigger.SCAN_ONCE),
        ("cbLow", Trigger.CALLBACK),
        ("cbHigh-2", Trigger.CALLBACK),
        ("dbCaLink", Trigger.CA_LINK),
        ("CAC-event", Trigger.CA_LINK),
        ("PVXTCP", Trigger.PVA_CLIENT),
        ("softIoc", None),
        (None, None),
    ],
)
def test_the_thread_name_tells_the_trigger(comm: str | None, trigger: Trigger | None) -> None:
    assert Trigger.of_thread(comm) is trigger


def test_the_main_thread_is_a_trigger_whatever_its_name() -> None:
    assert Trigger.of_thread("softIoc", is_main=True) is Trigger.MAIN


def test_siblings_are_siblings_in_time_order() -> None:
    chain = Chain((span(1), span(3, 1, start_ns=6), span(2, 1, start_ns=1), span(4, 2, start_ns=2)))
    assert [(depth, s.span_id) for depth, s in chain.walk()] == [(0, 1), (1, 2), (2, 4), (1, 3)]
    assert chain.depth == 3


def test_self_time_leaves_out_the_children() -> None:
    chain = Chain((span(1, duration_ns=100), span(2, 1, duration_ns=30), span(3, 1, duration_ns=20)))
    assert chain.self_ns(chain.root) == 50
    assert chain.self_ns(chain.spans[1]) == 30


def test_a_span_whose_parent_was_lost_hangs_on_the_root() -> None:
    chain = Chain((span(1), span(3, 99)))
    assert [s.span_id for s in chain.children(chain.root)] == [3]


def test_a_chain_is_not_empty_and_has_no_id_twice() -> None:
    with pytest.raises(ValueError, match="root"):
        Chain(())
    with pytest.raises(ValueError, match="same id"):
        Chain((span(1), span(1)))


@given(st.lists(st.integers(0, 12), max_size=12))
def test_any_parents_make_a_walk_that_meets_each_span_once(parents: list[int]) -> None:
    chain = Chain((span(0), *(span(i + 1, parent) for i, parent in enumerate(parents))))
    assert sorted(s.span_id for _, s in chain.walk()) == list(range(len(parents) + 1))

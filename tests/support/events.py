"""Events to hand to sinks, stores and commands: real ones, with every field that a test does not name filled in."""

from __future__ import annotations

from dataclasses import replace

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
)

TIME_NS = 1_591_203_809_482_000_000
CLIENT = Endpoint("10.1.2.7", 50662)
SERVER = Endpoint("10.1.2.3", 5064)

_PUT = PutEvent(
    time_ns=TIME_NS,
    pv="LINAC:MAG:Q12:SET",
    pv_source=Provenance.WIRE,
    value=15.0,
    dbr_type=6,
    count=1,
    notify=False,
    client=CLIENT,
    server=SERVER,
    user="alice",
    host="opi07",
    sid=12,
)

_SPAN = Span(
    trace_id=0x4BF92F3577B34DA6A3CE929D0E0E4736,
    span_id=1,
    parent_id=None,
    kind=SpanKind.PROCESS,
    record="HV:RAMP",
    record_type="calc",
    field=None,
    start_ns=TIME_NS,
    duration_ns=12_400,
    pid=4711,
    tid=4712,
    ioc="ioc-HV",
    thread="CAS-client",
    value=15.0,
    status="NO_ALARM",
    severity="NO_ALARM",
    active=False,
)


def put(**changes: object) -> PutEvent:
    """A put by alice on opi07, changed as asked."""
    return replace(_PUT, **changes)  # type: ignore[arg-type]


def span(span_id: int = 1, parent_id: int | None = None, **changes: object) -> Span:
    """A call of dbProcess, changed as asked."""
    return replace(_SPAN, span_id=span_id, parent_id=parent_id, **changes)  # type: ignore[arg-type]


def chain(trace_id: int = 1, ioc: str = "ioc-HV") -> Chain:
    """A put that processes HV:SET, which processes two siblings, the second of them with a child of its own."""
    first = trace_id % 1_000_000 * 100

    def call(number: int, parent: int | None, record: str, start_us: int, duration_us: int, **changes: object) -> Span:
        return span(
            first + number,
            None if parent is None else first + parent,
            trace_id=trace_id,
            ioc=ioc,
            record=record,
            start_ns=TIME_NS + start_us * 1000,
            duration_ns=duration_us * 1000,
            **changes,
        )

    return Chain(
        (
            call(0, None, "HV:SET", 0, 100, kind=SpanKind.PUT_FIELD, field="VAL", trigger=Trigger.CA_CLIENT),
            call(1, 0, "HV:SET", 10, 80, record_type="ao"),
            call(2, 1, "HV:LIMIT", 20, 20, value=1, severity="MAJOR", status="HIHI"),
            call(3, 1, "HV:RAMP", 50, 30, active=True),
            call(4, 3, "HV:STEP", 55, 10, value="up"),
        )
    )


def gap(lost: int = 3, stage: Stage = Stage.RING, unit: LossUnit = LossUnit.EVENTS) -> Gap:
    """A loss in the kernel's ring."""
    return Gap(TIME_NS, stage, lost, "ring full", unit)


def ioc_event() -> IocEvent:
    """An IOC that started."""
    return IocEvent(TIME_NS, IocEventKind.STARTED, 4711, "ioc-HV", "/opt/ioc/st.cmd")


_names = st.none() | st.text(max_size=12)
_int64 = st.integers(-(2**63), 2**63 - 1)
_scalars = st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_arrays = st.one_of(
    st.lists(st.integers()),
    st.lists(st.floats(allow_nan=False)),
    st.lists(st.text(max_size=4), min_size=1),
)
values = st.none() | _scalars | st.binary(max_size=16) | _arrays.map(tuple)
"""Values of every type; no NaN, which is not equal to itself."""

endpoints = st.builds(Endpoint, st.ip_addresses().map(str), st.integers(0, 65535))
puts = st.builds(
    PutEvent,
    time_ns=_int64,
    pv=_names,
    pv_source=st.none() | st.sampled_from(Provenance),
    value=values,
    dbr_type=st.integers(0, 38),
    count=st.integers(0, 2**32 - 1),
    notify=st.booleans(),
    client=endpoints,
    server=endpoints,
    user=_names,
    host=_names,
    sid=st.integers(0, 2**32 - 1),
    cid=st.none() | st.integers(0, 2**32 - 1),
    ioid=st.none() | st.integers(0, 2**32 - 1),
    namespace=st.none() | st.integers(0, 2**32 - 1),
)
spans = st.builds(
    Span,
    trace_id=st.integers(0, 2**128 - 1),
    span_id=st.integers(0, 2**64 - 1),
    parent_id=st.none() | st.integers(0, 2**64 - 1),
    kind=st.sampled_from(SpanKind),
    record=_names,
    record_type=_names,
    field=_names,
    start_ns=_int64,
    duration_ns=st.integers(0, 2**62),
    pid=st.integers(1, 2**22),
    tid=st.integers(1, 2**22),
    ioc=st.text(max_size=12),
    thread=_names,
    trigger=st.none() | st.sampled_from(Trigger),
    value=values,
    status=_names,
    severity=_names,
    active=st.none() | st.booleans(),
    count=st.none() | st.integers(0, 2**63 - 1),
)
gaps = st.builds(
    Gap, _int64, st.sampled_from(Stage), st.integers(0, 2**62), st.text(max_size=8), st.sampled_from(LossUnit)
)

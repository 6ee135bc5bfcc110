"""Events as rows of the store and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

from epicsmon.events import (
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
from epicsmon.store.values import from_cells, to_cells
from epicsmon.text import encodable

Row = tuple[Union[int, float, str, bytes, None], ...]

PUT_COLUMNS = (
    "time_ns, pv, pv_source, value, value_type, dbr_type, count, notify, client, server,"
    " user, host, sid, cid, ioid, namespace"
)
SPAN_COLUMNS = (
    "trace_id, span_id, parent_id, kind, record, record_type, field, start_ns, duration_ns, pid, tid, ioc, thread,"
    " trigger, value, value_type, status, severity, active, count"
)
GAP_COLUMNS = "time_ns, stage, lost, unit, detail"
IOC_COLUMNS = "time_ns, kind, pid, name, detail"


def _insert(table: str, columns: str) -> str:
    marks = ", ".join("?" * (columns.count(",") + 1))
    return f"INSERT INTO {table} ({columns}) VALUES ({marks})"


PUT_INSERT = _insert("puts", PUT_COLUMNS)
SPAN_INSERT = _insert("spans", f"chain, {SPAN_COLUMNS}")
GAP_INSERT = _insert("gaps", GAP_COLUMNS)
IOC_INSERT = _insert("ioc_events", IOC_COLUMNS)


def _text(text: str | None) -> str | None:
    return None if text is None else encodable(text)


def put_row(put: PutEvent) -> Row:
    """The columns PUT_COLUMNS of a put."""
    value, kind = to_cells(put.value)
    source = None if put.pv_source is None else put.pv_source.value
    ends = (str(put.client), str(put.server))
    who = (_text(put.user), _text(put.host))
    ids = (put.sid, put.cid, put.ioid, put.namespace)
    return (
        put.time_ns,
        _text(put.pv),
        source,
        value,
        kind,
        put.dbr_type,
        put.count,
        int(put.notify),
        *ends,
        *who,
        *ids,
    )


def put_event(row: Sequence[Any]) -> PutEvent:
    """The put of a row of PUT_COLUMNS."""
    return PutEvent(
        time_ns=row[0],
        pv=row[1],
        pv_source=None if row[2] is None else Provenance(row[2]),
        value=from_cells(row[3], row[4]),
        dbr_type=row[5],
        count=row[6],
        notify=bool(row[7]),
        client=Endpoint.parse(row[8]),
        server=Endpoint.parse(row[9]),
        user=row[10],
        host=row[11],
        sid=row[12],
        cid=row[13],
        ioid=row[14],
        namespace=row[15],
    )


def span_row(span: Span, chain: int) -> Row:
    """The columns chain and SPAN_COLUMNS of a span."""
    value, kind = to_cells(span.value)
    return (
        chain,
        f"{span.trace_id:032x}",
        f"{span.span_id:016x}",
        None if span.parent_id is None else f"{span.parent_id:016x}",
        span.kind.value,
        _text(span.record),
        _text(span.record_type),
        _text(span.field),
        span.start_ns,
        span.duration_ns,
        span.pid,
        span.tid,
        encodable(span.ioc),
        _text(span.thread),
        None if span.trigger is None else span.trigger.value,
        value,
        kind,
        _text(span.status),
        _text(span.severity),
        None if span.active is None else int(span.active),
        span.count,
    )


def span_event(row: Sequence[Any]) -> Span:
    """The span of a row of SPAN_COLUMNS."""
    return Span(
        trace_id=int(row[0], 16),
        span_id=int(row[1], 16),
        parent_id=None if row[2] is None else int(row[2], 16),
        kind=SpanKind(row[3]),
        record=row[4],
        record_type=row[5],
        field=row[6],
        start_ns=row[7],
        duration_ns=row[8],
        pid=row[9],
        tid=row[10],
        ioc=row[11],
        thread=row[12],
        trigger=None if row[13] is None else Trigger(row[13]),
        value=from_cells(row[14], row[15]),
        status=row[16],
        severity=row[17],
        active=None if row[18] is None else bool(row[18]),
        count=row[19],
    )


def gap_row(gap: Gap) -> Row:
    """The columns GAP_COLUMNS of a gap."""
    return (gap.time_ns, gap.stage.value, gap.lost, gap.unit.value, encodable(gap.detail))


def gap_event(row: Sequence[Any]) -> Gap:
    """The gap of a row of GAP_COLUMNS."""
    return Gap(row[0], Stage(row[1]), row[2], row[4], LossUnit(row[3]))


def ioc_row(event: IocEvent) -> Row:
    """The columns IOC_COLUMNS of an IOC event."""
    return (event.time_ns, event.kind.value, event.pid, _text(event.name), encodable(event.detail))


def ioc_event(row: Sequence[Any]) -> IocEvent:
    """The IOC event of a row of IOC_COLUMNS."""
    return IocEvent(row[0], IocEventKind(row[1]), row[2], row[3], row[4])

"""From calls to chains: the calls of one root, named and put into a tree.

Calls arrive when they return, so children come before their parents and a root closes its chain. All calls of a chain
are made by one thread, one after another: what a thread left open when its next root ends belongs to a root that was
lost, and comes out as chains of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from epicsmon.events import Chain, Span, SpanKind, Trigger
from epicsmon.text import decode
from epicsmon.trace.layout import NOT_READ

if TYPE_CHECKING:
    from epicsmon.trace.calls import RawCall
    from epicsmon.trace.subject import TracedIoc

MAX_PENDING = 100_000
"""Calls waiting for their root, in one process; beyond that the oldest thread's calls come out without it."""


class ChainBuilder:
    """Joins the calls of one IOC."""

    def __init__(self, ioc: TracedIoc) -> None:
        self._ioc = ioc
        self._open: dict[int, list[RawCall]] = {}
        self._pending = 0

    def add(self, call: RawCall, clock_offset: int) -> Iterator[Chain]:
        """The chains that ``call`` completes. ``clock_offset`` takes CLOCK_MONOTONIC to the epoch, in ns."""
        waiting = self._open.get(call.tid)
        if call.depth > 0:
            if waiting is None:
                waiting = self._open[call.tid] = []
            waiting.append(call)
            self._pending += 1
            if self._pending > MAX_PENDING:
                yield from self._orphans(self._open.pop(next(iter(self._open))), clock_offset)
            return
        own = [call]
        if waiting:
            del self._open[call.tid]
            others = [other for other in waiting if other.root != call.start]
            own += [other for other in waiting if other.root == call.start]
            self._pending -= len(own) - 1
            if others:
                yield from self._orphans(others, clock_offset)
        yield self._chain(own, clock_offset)

    def flush(self, clock_offset: int) -> Iterator[Chain]:
        """What is left when nothing more will come: calls whose roots had not returned, or were lost."""
        for calls in self._open.values():
            yield from self._orphans(calls, clock_offset)
        self._open.clear()

    def _orphans(self, calls: list[RawCall], clock_offset: int) -> Iterator[Chain]:
        self._pending -= len(calls)
        known = {(call.root, call.start) for call in calls}
        tops = [call for call in calls if (call.root, call.parent) not in known]
        for top in tops:
            inside = [call for call in calls if call.root == top.root and top.start <= call.start <= top.end]
            yield self._chain([top, *(call for call in inside if call is not top)], clock_offset)

    def _chain(self, calls: list[RawCall], clock_offset: int) -> Chain:
        root = calls[0]
        merged = _merged_puts(calls)
        trace_id = self._ioc.ids.trace(root.tid, root.root)
        spans = [self._span(call, trace_id, merged, clock_offset) for call in calls if call.start not in merged]
        spans[0] = self._with_trigger(spans[0], root)
        spans[1:] = sorted(spans[1:], key=lambda span: span.start_ns)
        return Chain(tuple(spans))

    def _span(self, call: RawCall, trace_id: int, merged: dict[int, RawCall], clock_offset: int) -> Span:
        put = call.put
        record_at, field = call.subject, None
        outcome = self._ioc.layout.read(call.window) if call.window and call.readable else NOT_READ
        value = outcome.value
        if call.kind is SpanKind.PUT_NOTIFY:
            inner = next((other for other in merged.values() if other.parent == call.start), None)
            put = inner.put if inner is not None else None
        if put is not None:
            record_at, value = put.record, self._ioc.put_value(put)
            field = self._ioc.field_name(put)
        elif call.kind is not SpanKind.PROCESS:
            record_at = 0
        record = self._ioc.record(record_at)
        parent = merged[call.parent].parent if call.parent in merged else call.parent
        return Span(
            trace_id=trace_id,
            span_id=self._ioc.ids.span(call.tid, call.start),
            parent_id=self._ioc.ids.span(call.tid, parent) if parent else None,
            kind=call.kind,
            record=record.name if record is not None else None,
            record_type=record.record_type.name if record is not None else None,
            field=field,
            start_ns=call.start + clock_offset,
            duration_ns=max(0, call.end - call.start),
            pid=call.pid,
            tid=call.tid,
            ioc=self._ioc.name,
            value=value,
            status=outcome.status,
            severity=outcome.severity,
            active=outcome.active,
        )

    def _with_trigger(self, span: Span, root: RawCall) -> Span:
        thread = decode(root.comm) if root.comm else None
        fields = dict(vars(span))
        fields["thread"] = thread
        fields["trigger"] = Trigger.of_thread(thread, root.tid == root.pid)
        return Span(**fields)


def _merged_puts(calls: list[RawCall]) -> dict[int, RawCall]:
    """The dbPut calls that are but the inside of a dbPutField or dbProcessNotify, by their start."""
    by_start = {call.start: call for call in calls}
    merged = {}
    for call in calls:
        outer = by_start.get(call.parent)
        if call.kind is not SpanKind.PUT or outer is None or call.put is None:
            continue
        same_field = outer.put is not None and outer.put.field == call.put.field
        if outer.kind is SpanKind.PUT_NOTIFY or (outer.kind is SpanKind.PUT_FIELD and same_field):
            merged[call.start] = call
    return merged

"""From calls to chains: the calls of one root, named and put into a tree.

Calls arrive when they return, so children come before their parents and a root closes its chain. All calls of a chain
are made by one thread, one after another: what a thread left open when its next root ends belongs to a root that was
lost, and comes out as chains of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from epicsmon.events import Chain, Span, SpanKind, Trigger
from epicsmon.text import decode
from epicsmon.trace.layout import NOT_READ

if TYPE_CHECKING:
    from epicsmon.trace.calls import RawCall
    from epicsmon.trace.layout import Outcome
    from epicsmon.trace.subject import TracedIoc

MAX_PENDING = 100_000
"""Calls waiting for their root, in one process; beyond that the oldest thread's calls come out without it."""


class Built(NamedTuple):
    """A chain, and how many calls it is made of: a dbPut inside of a dbPutField has no span of its own."""

    chain: Chain
    calls: int


class ChainBuilder:
    """Joins the calls of one IOC."""

    def __init__(self, ioc: TracedIoc, max_pending: int = MAX_PENDING) -> None:
        self._ioc = ioc
        self._max_pending = max_pending
        self._open: dict[int, list[RawCall]] = {}
        self._pending = 0

    @property
    def pending(self) -> int:
        """Calls that wait for their root."""
        return self._pending

    def add(self, call: RawCall, clock_offset: int) -> Iterator[Built]:
        """The chains that ``call`` completes. ``clock_offset`` takes CLOCK_MONOTONIC to the epoch, in ns."""
        if call.depth > 0:
            self._open.setdefault(call.tid, []).append(call)
            self._pending += 1
            if self._pending > self._max_pending:
                yield from self._orphans(next(iter(self._open)), clock_offset)
            return
        waiting = self._open.pop(call.tid, [])
        own = [call, *(other for other in waiting if other.root == call.start)]
        if len(own) <= len(waiting):
            self._open[call.tid] = [other for other in waiting if other.root != call.start]
            yield from self._orphans(call.tid, clock_offset)
        self._pending -= len(own) - 1
        yield self._chain(own, clock_offset)

    def flush(self, clock_offset: int) -> Iterator[Built]:
        """What is left when nothing more will come: calls whose roots had not returned, or were lost."""
        for tid in list(self._open):
            yield from self._orphans(tid, clock_offset)

    def _orphans(self, tid: int, clock_offset: int) -> Iterator[Built]:
        """What waits in one thread as chains without their roots: one for each call that has no other around it."""
        calls = self._open.pop(tid)
        self._pending -= len(calls)
        chains: list[list[RawCall]] = []
        for call in sorted(calls, key=_by_root_and_start):
            # A call begins before all that it makes and ends after it, so an outermost one comes first of its own.
            if chains and chains[-1][0].root == call.root and call.start <= chains[-1][0].end:
                chains[-1].append(call)
            else:
                chains.append([call])
        for chain in chains:
            yield self._chain(chain, clock_offset)

    def _chain(self, calls: list[RawCall], clock_offset: int) -> Built:
        root = calls[0]
        merged = _merged_puts(calls)
        trace_id = self._ioc.ids.trace(root.tid, root.root)
        spans = [self._span(call, trace_id, merged, clock_offset) for call in calls if call.start not in merged]
        thread = decode(root.comm) if root.comm else None
        spans[0] = replace(spans[0], thread=thread, trigger=Trigger.of_thread(thread, root.tid == root.pid))
        spans[1:] = sorted(spans[1:], key=lambda span: span.start_ns)
        return Built(Chain(tuple(spans)), len(calls))

    def _span(self, call: RawCall, trace_id: int, merged: dict[int, RawCall], clock_offset: int) -> Span:
        put, readable = call.put, call.readable
        record_at, field = call.subject, None
        outcome = self._outcome(call) if call.window and call.readable else NOT_READ
        value = outcome.value
        if call.kind is SpanKind.PUT_NOTIFY:
            inner = next((other for other in merged.values() if other.parent == call.start), None)
            if inner is not None:
                put, readable = inner.put, inner.readable
        if put is not None:
            record_at, field = put.record, self._ioc.field_name(put)
            value = self._ioc.put_value(put) if readable else None
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
            count=None if put is None or put.elements < 0 else put.elements,
        )

    def _outcome(self, call: RawCall) -> Outcome:
        layout = self._ioc.layout
        return layout.read(call.window if call.whole else call.window[: layout.certain_size])


def _by_root_and_start(call: RawCall) -> tuple[int, int]:
    return call.root, call.start


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

"""Chains for people: each as a tree of its calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TextIO

from epicsmon.events import Chain, Event, Gap, IocEvent, Span, SpanKind
from epicsmon.sinks.format import UNKNOWN, gap_text, ioc_event_text, record_text, value_text
from epicsmon.sinks.stream import LineSink
from epicsmon.sinks.style import Style
from epicsmon.text import duration, escape, local_clock


@dataclass(frozen=True)
class Branches:
    """The pieces a tree is drawn with."""

    tee: str
    corner: str
    bar: str
    blank: str


BOXES = Branches("├─ ", "└─ ", "│  ", "   ")
ASCII = Branches("|- ", "`- ", "|  ", "   ")


class TreeSink(LineSink):
    """A head line (time, IOC, what set it off, time in all), then one line a call under its caller.

    A call's line: the record and its type, the value and severity at return, the duration and the part of it not
    spent in the calls beneath. `async` marks a record that was still active (PACT) at return.
    """

    def __init__(self, stream: TextIO, style: Style | None = None) -> None:
        super().__init__("output", stream)
        self._style = Style.of(stream) if style is None else style
        self._branches = BOXES if self._style.boxes else ASCII

    def takes(self, event: Event) -> bool:
        """Chains, gaps and IOC events."""
        return isinstance(event, (Chain, Gap, IocEvent))

    def lines(self, event: Event) -> Iterable[str]:
        """The lines of one chain, or one line."""
        if isinstance(event, Chain):
            yield from self._chain_lines(event)
        elif isinstance(event, Gap):
            yield self._style.warn(gap_text(event))
        elif isinstance(event, IocEvent):
            yield self._style.dim(ioc_event_text(event))

    def _chain_lines(self, chain: Chain) -> Iterable[str]:
        yield self._head(chain)
        rows = [(prefix + self._call(span), span) for prefix, span in self._tree(chain)]
        values = [_value(span) for _, span in rows]
        calls_width = min(72, max(len(call) for call, _ in rows))
        values_width = min(32, max(map(len, values)))
        for (call, span), value in zip(rows, values):
            severity = self._style.severity(f"{_alarm(span):<16}", span.severity)
            times = f"{duration(span.duration_ns):>8}  self {duration(chain.self_ns(span)):>8}"
            late = "  async" if span.active else ""
            yield f"  {call:<{calls_width}}  {value:<{values_width}}  {severity}  {self._style.dim(times)}{late}"

    def _head(self, chain: Chain) -> str:
        root = chain.root
        origin = escape(root.thread) if root.thread is not None else UNKNOWN
        if root.trigger is not None:
            origin = f"{root.trigger.value} ({origin})"
        clock = self._style.dim(local_clock(root.start_ns))
        calls = f"{len(chain.spans)} call{'s' if len(chain.spans) > 1 else ''}"
        return f"{clock} {self._style.bold(escape(root.ioc))}  {origin}  {calls}  {duration(root.duration_ns)}"

    def _call(self, span: Span) -> str:
        return record_text(span) if span.kind is SpanKind.PROCESS else f"{span.kind.value} {record_text(span)}"

    def _tree(self, chain: Chain) -> Iterable[tuple[str, Span]]:
        draw = self._branches
        stack = [("", "", chain.root)]
        while stack:
            own, below, span = stack.pop()
            yield own, span
            children = chain.children(span)
            last = len(children) - 1
            for index in range(last, -1, -1):
                tee, bar = (draw.corner, draw.blank) if index == last else (draw.tee, draw.bar)
                stack.append((below + tee, below + bar, children[index]))


def _value(span: Span) -> str:
    if span.value is None:
        return ""
    return value_text(span.value, limit=16 if isinstance(span.value, tuple) else 32, count=span.count)


def _alarm(span: Span) -> str:
    known = [escape(part) for part in (span.severity, span.status) if part is not None]
    return known[0] if known and known[0] == "NO_ALARM" else " ".join(known)

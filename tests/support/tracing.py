"""A tracer in a thread of the test: collects what it yields while the test makes an IOC do things."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TypeVar

from epicsmon.counters import Counters
from epicsmon.events import Chain, Gap, IocEvent, Span, SpanKind
from epicsmon.trace.live import TraceEvent, TraceSource
from pybpf.links import UprobeMethod
from tests.support.epics import RealIoc

Shape = tuple[object, ...]
T = TypeVar("T")


class Tracer:
    """Traces ``iocs`` while open; a context manager. ``finish`` ends it and gives its account, which must balance."""

    def __init__(
        self,
        *iocs: RealIoc | str,
        force: UprobeMethod | None = None,
        sizes: Mapping[str, int] | None = None,
        reading: bool = True,
    ) -> None:
        """``reading`` False leaves the ring unread until :meth:`read`."""
        wanted = [ioc if isinstance(ioc, str) else ioc.pid for ioc in iocs]
        self.source = TraceSource(wanted, force=force, sizes=sizes)
        self.events: list[TraceEvent] = []
        self._failure: BaseException | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._starts_reading = reading

    @property
    def chains(self) -> list[Chain]:
        """The chains so far."""
        return [event for event in list(self.events) if isinstance(event, Chain)]

    @property
    def gaps(self) -> list[Gap]:
        """The gaps so far."""
        return [event for event in list(self.events) if isinstance(event, Gap)]

    @property
    def ioc_events(self) -> list[IocEvent]:
        """What was said of IOCs so far."""
        return [event for event in list(self.events) if isinstance(event, IocEvent)]

    def read(self) -> None:
        """Begin to take what comes."""
        self._reader.start()

    def wait_for(self, find: Callable[[], T | None], timeout: float = 8.0) -> T:
        """The first thing that ``find`` gives; AssertionError when there is none in time."""
        deadline = time.monotonic() + timeout
        while True:
            found = find()
            if found:
                return found
            assert self._failure is None, self._failure
            assert time.monotonic() < deadline, f"not found among {[shape_of(chain) for chain in self.chains]}"
            time.sleep(0.005)

    def chain(self, record: str, kind: SpanKind = SpanKind.PROCESS, *, after: int = 0, timeout: float = 8.0) -> Chain:
        """A chain that began with a call of ``kind`` for ``record``, among those after the first ``after`` events."""

        def find() -> Chain | None:
            for event in self.events[after:]:
                if isinstance(event, Chain) and (event.root.record, event.root.kind) == (record, kind):
                    return event
            return None

        return self.wait_for(find, timeout)

    def span(self, record: str, kind: SpanKind = SpanKind.PROCESS, *, after: int = 0) -> Span:
        """The last span of this kind for ``record`` in the first chain where there is one."""

        def find() -> Span | None:
            for event in self.events[after:]:
                spans = event.spans if isinstance(event, Chain) else ()
                for span in reversed(spans):
                    if (span.record, span.kind) == (record, kind):
                        return span
            return None

        return self.wait_for(find)

    def finish(self, timeout: float = 30.0) -> Counters:
        """End the tracing, let everything come out, check that no call is unaccounted for; the account."""
        if self._reader.ident is None:
            self.read()
        self.source.stop()
        self._reader.join(timeout)
        assert not self._reader.is_alive(), "the tracer does not end"
        assert self._failure is None, self._failure
        counters = self.source.counters
        assert counters.balanced, counters
        assert counters.filtered == self.source.early, counters
        assert counters.lost == sum(gap.lost for gap in self.gaps), (counters, self.gaps)
        return counters

    def _read(self) -> None:
        try:
            for event in self.source:
                self.events.append(event)
        except BaseException as error:  # noqa: BLE001 - the test that waits gets to see it
            self._failure = error

    def __enter__(self) -> Tracer:
        self.source.__enter__()
        if self._starts_reading:
            self.read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.source.stop()
        if self._reader.ident is not None:
            self._reader.join(30)
        self.source.close()


def shape_of(chain: Chain, span: Span | None = None) -> Shape:
    """A chain as nested tuples: the record, with the kind when it is a put, and what it called."""
    span = span or chain.root
    name = span.record if span.kind is SpanKind.PROCESS else f"{span.kind.value} {span.record}.{span.field}"
    return (name, *(shape_of(chain, child) for child in chain.children(span)))


def in_order(chain: Chain) -> list[str | None]:
    """The records in the order in which they began to process."""
    return [span.record for span in sorted(chain.spans, key=lambda s: s.start_ns) if span.kind is SpanKind.PROCESS]


def forward_chain(length: int) -> str:
    """A database of records L:0, L:1 ... that each process the next."""
    records = []
    for number in range(length):
        link = f'field(FLNK, "L:{number + 1}")' if number + 1 < length else ""
        records.append(f'record(calc, "L:{number}") {{ field(CALC, "VAL+1") {link} }}')
    return "\n".join(records)

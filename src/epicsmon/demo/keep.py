"""A sink that keeps what the demo shows at its end: every put, and the largest chain of each origin."""

from __future__ import annotations

from collections.abc import Sequence

from epicsmon.events import Chain, Event, PutEvent, SpanKind
from epicsmon.sinks.base import SinkCounters


class KeepSink:
    """Holds puts and chains in memory; for a run of seconds. Two pipelines each use one of a pair that share it."""

    name = "demo"

    def __init__(self) -> None:
        self.counters = SinkCounters()
        self.puts: list[PutEvent] = []
        self.chains: dict[tuple[str | None, str | None], Chain] = {}
        """By (record, kind of root): the latest of those with the most spans."""
        self.chains_seen = 0

    @property
    def puts_seen(self) -> int:
        """How many puts there were so far."""
        return len(self.puts)

    def twin(self) -> KeepSink:
        """A sink with its own account that keeps into the same lists."""
        return _Twin(self)

    def open(self) -> None:
        """Nothing to open."""

    def takes(self, event: Event) -> bool:
        """Puts and chains."""
        return isinstance(event, (PutEvent, Chain))

    def write(self, batch: Sequence[Event]) -> None:
        """Keep the puts and, of chains that begin alike, the largest."""
        self.keep(batch)
        self.counters.accepted += len(batch)

    def keep(self, batch: Sequence[Event]) -> None:
        """Keep without counting."""
        for event in batch:
            if isinstance(event, PutEvent):
                self.puts.append(event)
            elif isinstance(event, Chain):
                self.chains_seen += 1
                key = origin_of(event)
                known = self.chains.get(key)
                if known is None or len(event.spans) >= len(known.spans):
                    self.chains[key] = event

    def close(self) -> None:
        """Nothing to close."""


class _Twin(KeepSink):
    def __init__(self, first: KeepSink) -> None:
        super().__init__()
        self._first = first

    def keep(self, batch: Sequence[Event]) -> None:
        self._first.keep(batch)


def origin_of(chain: Chain) -> tuple[str | None, str | None]:
    """What a chain began with: the record and the kind of its root call."""
    return chain.root.record, SpanKind(chain.root.kind).value

"""What a sink is, and how it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from epicsmon.events import Event, Gap, IocEvent


@dataclass
class SinkCounters:
    """How many puts, spans or chains a sink wrote and how many it could not; gaps and IOC events are not counted."""

    accepted: int = 0
    failed: int = 0


class SinkError(Exception):
    """A sink could not be opened or could not write: `sink` is its name, `reason` what happened, `hint` what to do."""

    def __init__(self, sink: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{sink}: {reason}" + (f" ({hint})" if hint else ""))
        self.sink = sink
        self.reason = reason
        self.hint = hint


class SinkClosed(SinkError):
    """The reader of the sink has gone, as when `| head` has had enough: nothing more can ever be written."""


class Sink(Protocol):
    """A destination for events.

    `write` takes a batch of events that the sink `takes`, in order, and either writes all of it or raises SinkError
    after it added to its counters what was written and what was not. A later `write` may succeed again. One thread
    at a time uses a sink.
    """

    @property
    def name(self) -> str:
        """Short, for messages: the kind and where it writes to."""

    @property
    def counters(self) -> SinkCounters:
        """What was written and what was not."""

    def open(self) -> None:
        """Makes ready to write. Raises SinkError."""

    def takes(self, event: Event) -> bool:
        """Whether this kind of event has a meaning here."""

    def write(self, batch: Sequence[Event]) -> None:
        """Writes the events. Raises SinkError, SinkClosed."""

    def close(self) -> None:
        """Writes what is still held back and lets go; may be called twice. Raises SinkError."""


def is_counted(event: Event) -> bool:
    """Whether an event counts as seen, delivered or lost: notices about other events do not."""
    return not isinstance(event, (Gap, IocEvent))


def count_events(batch: Sequence[Event]) -> int:
    """How many events of a batch are counted."""
    return sum(map(is_counted, batch))

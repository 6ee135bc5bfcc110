"""What a source is to the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from epicsmon.events import Event


@runtime_checkable
class Source(Protocol):
    """Yields events until it is stopped or has no more.

    `stop` may be called from a signal handler and from any thread: it only notes the wish, and the iteration ends
    within about 0.1 s, after what was already received.
    """

    def __iter__(self) -> Iterator[Event]: ...

    def stop(self) -> None:
        """Asks the iteration to end."""


class IterableSource:
    """Any iterable of events as a source; it is stopped between two events."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = events
        self._stopped = False

    def __iter__(self) -> Iterator[Event]:
        for event in self._events:
            yield event
            if self._stopped:
                return

    def stop(self) -> None:
        """Ends the iteration after the event at hand."""
        self._stopped = True


def as_source(events: Iterable[Event]) -> Source:
    """The source itself, or any other iterable made one."""
    return events if isinstance(events, Source) else IterableSource(events)

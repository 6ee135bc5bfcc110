"""What the sinks that write lines to a stream have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from epicsmon.events import Event
from epicsmon.sinks.base import SinkClosed, SinkCounters, SinkError, count_events


class LineSink:
    """Writes each batch with one `write` and one `flush`; the stream belongs to the caller."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name = name
        self.counters = SinkCounters()
        self._stream = stream

    def open(self) -> None:
        """The stream is open already."""

    def takes(self, event: Event) -> bool:
        """Everything; subclasses know better."""
        return True

    def lines(self, event: Event) -> Iterable[str]:
        """The lines for one event, without line ends."""
        raise NotImplementedError(type(self).__name__)

    def write(self, batch: Sequence[Event]) -> None:
        """Writes the lines of all events. Raises SinkError, or SinkClosed when the reader has gone."""
        counted = count_events(batch)
        try:
            self._stream.write("".join(f"{line}\n" for event in batch for line in self.lines(event)))
            self._stream.flush()
        except (OSError, ValueError) as error:
            self.counters.failed += counted
            if isinstance(error, (BrokenPipeError, ValueError)):
                raise SinkClosed(self.name, "nobody reads it any more") from error
            raise SinkError(self.name, error.strerror or str(error)) from error
        self.counters.accepted += counted

    def close(self) -> None:
        """Leaves the stream open: it is the caller's."""

"""Puts for people: one aligned line each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from epicsmon.events import Event, Gap, IocEvent, PutEvent
from epicsmon.sinks.format import channel_text, gap_text, ioc_event_text, user_text, value_text
from epicsmon.sinks.stream import LineSink
from epicsmon.sinks.style import Style
from epicsmon.text import local_clock

VALUE_LIMIT = 60
ARRAY_LIMIT = 22
"""Characters of a value in a line: the first elements tell arrays apart, and the line still fits a terminal."""


class Column:
    """A column as wide as its widest cell so far, within limits: later lines align without knowing the future."""

    def __init__(self, width: int, limit: int) -> None:
        self._width = width
        self._limit = limit

    def pad(self, cell: str) -> str:
        """The cell, padded; one beyond the limit is whole but does not widen the column."""
        if self._width < len(cell) <= self._limit:
            self._width = len(cell)
        return cell.ljust(self._width)


class TextSink(LineSink):
    """`14:02:11.482 LINAC:MAG:Q12:SET 15.0 alice@opi07 10.1.2.7:50662 -> 10.1.2.3:5064`, local time.

    A put that asked for completion (WRITE_NOTIFY) ends in `put-callback`. Gaps and IOC events are lines of their own
    with `--` after the time.
    """

    def __init__(self, stream: TextIO, style: Style | None = None) -> None:
        super().__init__("output", stream)
        self._style = Style.of(stream) if style is None else style
        self._channel = Column(16, 48)
        self._value = Column(8, 32)
        self._user = Column(8, 32)
        self._client = Column(15, 47)

    def takes(self, event: Event) -> bool:
        """Puts, gaps and IOC events."""
        return isinstance(event, (PutEvent, Gap, IocEvent))

    def lines(self, event: Event) -> Iterable[str]:
        """One line."""
        if isinstance(event, PutEvent):
            yield self._put_line(event)
        elif isinstance(event, Gap):
            yield self._style.warn(gap_text(event))
        elif isinstance(event, IocEvent):
            yield self._style.dim(ioc_event_text(event))

    def _put_line(self, put: PutEvent) -> str:
        style = self._style
        line = " ".join(
            (
                style.dim(local_clock(put.time_ns)),
                style.bold(self._channel.pad(channel_text(put))),
                self._value.pad(value_text(put.value, ARRAY_LIMIT if isinstance(put.value, tuple) else VALUE_LIMIT)),
                self._user.pad(user_text(put)),
                style.dim(f"{self._client.pad(str(put.client))} -> {put.server}"),
            )
        )
        return f"{line} put-callback" if put.notify else line

"""Every event as one JSON object a line, under the stable names of `Event.to_json`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from epicsmon.events import Event
from epicsmon.sinks.stream import LineSink


class JsonLinesSink(LineSink):
    """JSON lines in pure ASCII: control characters and lone surrogates are escaped by JSON itself."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__("output", stream)
        self._encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode

    def lines(self, event: Event) -> Iterable[str]:
        """One line."""
        yield self._encode(event.to_json())

"""Spans to a file, one JSON object a line: what `jq`, a notebook or a later import reads."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence

from epicsmon.events import Chain, Event, Gap, Span
from epicsmon.sinks.base import SinkCounters, SinkError, count_events


class TraceFileSink:
    """Appends the spans of chains, root first, and gaps to a file; a span counts through its chain.

    A batch is written whole or not at all: one that does not fit on the disk is taken back, so that every line of the
    file is a whole object and the counts are true.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self.name = f"file {self._path}"
        self.counters = SinkCounters()
        self._fd = -1
        self._encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode

    def open(self) -> None:
        """Opens for appending. Raises SinkError."""
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise SinkError(self.name, error.strerror or str(error)) from error

    def takes(self, event: Event) -> bool:
        """Chains, single spans and gaps."""
        return isinstance(event, (Chain, Span, Gap))

    def write(self, batch: Sequence[Event]) -> None:
        """Appends. Raises SinkError, as on a full disk."""
        counted = count_events(batch)
        parts = (part for event in batch for part in (event.spans if isinstance(event, Chain) else (event,)))
        try:
            self._append("".join(f"{self._encode(part.to_json())}\n" for part in parts).encode("ascii"))
        except OSError as error:
            self.counters.failed += counted
            raise SinkError(self.name, error.strerror or str(error)) from error
        self.counters.accepted += counted

    def _append(self, data: bytes) -> None:
        before = os.fstat(self._fd)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            if stat.S_ISREG(before.st_mode):
                os.ftruncate(self._fd, before.st_size)
            raise

    def close(self) -> None:
        """Closes the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

"""What a command writes to, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TextIO


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_PERMITTED = 3
    """Not permitted or not supported here; the message says what to do."""


@dataclass(frozen=True)
class Streams:
    """Data goes to `out`, everything about the run to `err`, so that pipes get data only."""

    out: TextIO
    err: TextIO

    def say(self, message: str) -> None:
        """A message to the person, marked with who speaks; stays quiet when nobody can read it."""
        try:
            self.err.write(f"epicsmon: {message}\n")
            self.err.flush()
        except (OSError, ValueError):
            pass

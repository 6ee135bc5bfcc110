"""Colour on a terminal, none elsewhere.

Plain SGR sequences, not rich: a put line is written up to 20 000 times a second, and rich takes longer to import than
the whole command line may (rich stays for tables and progress).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_SEVERITY = {"MINOR": "33", "MAJOR": "31", "INVALID": "35"}


@dataclass(frozen=True)
class Style:
    """Whether to colour, and whether the stream can show box-drawing characters."""

    colour: bool = False
    boxes: bool = False

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Style:
        """What suits a stream: colour on a terminal unless NO_COLOR is set or the terminal is dumb."""
        terminal = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
        return cls(colour=terminal, boxes=encoding.startswith("utf"))

    def dim(self, text: str) -> str:
        """For what is of less interest."""
        return f"\x1b[2m{text}\x1b[0m" if self.colour else text

    def bold(self, text: str) -> str:
        """For what the eye looks for."""
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    def warn(self, text: str) -> str:
        """For losses."""
        return f"\x1b[33m{text}\x1b[0m" if self.colour else text

    def severity(self, text: str, severity: str | None) -> str:
        """In the colour operators know for an alarm severity."""
        code = _SEVERITY.get(severity or "")
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

"""Bytes in which the next header is looked for: what has arrived, when, and which places may still prove to be one."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from epicsmon.ca.header import SHORT_SIZE, Buffer
from epicsmon.ca.plausible import Verdict, follow

_EIGHTS = b"".join(re.escape(bytes((low,))) for low in range(0, 256, 8))
_MAY_BEGIN = re.compile(
    rb"(?=\x00(?:\x00\x00\x00\x00[\x00-\x63]\x00[^\x00]|[\x01-\x1b](?:\xff\xff|.[" + _EIGHTS + rb"])))", re.DOTALL
)
"""A VERSION with a minor, or another command with a size that is a multiple of 8 or in an extension.

Only a sieve for `follow`, so that zeros and text cost little. A look-ahead, because candidates overlap.
"""

_MAX_OPEN = 64
"""So many undecided places are remembered; hostile bytes can make thousands, each costs a look at every arrival."""

_MARK_COST = 100


class HeaderSearch:
    """A stretch of one stream without known message boundaries.

    `phase` is where headers lie modulo 8 from its beginning when a boundary before it is known (every message is a
    multiple of 8 long), else None. `trusted` says that the stream is Channel Access for sure.
    """

    __slots__ = ("_ends", "_open", "_scanned", "_times", "data", "phase", "trusted")

    def __init__(self) -> None:
        self.data = bytearray()
        self.phase: int | None = None
        self.trusted = False
        self._ends: list[int] = []
        self._times: list[int] = []
        self._open: list[int] = []
        self._scanned = 0

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return len(self.data)

    @property
    def held(self) -> int:
        """The memory that takes, roughly."""
        return len(self.data) + _MARK_COST * len(self._ends)

    def clear(self, phase: int | None = None) -> None:
        """Begin a new stretch."""
        self.data = bytearray()
        self.phase = phase
        self._ends = []
        self._times = []
        self._open = []
        self._scanned = 0

    def add(self, time_ns: int, chunk: Buffer) -> None:
        """More bytes, one segment's or what is left of it."""
        self.data += chunk
        self._ends.append(len(self.data))
        self._times.append(time_ns)

    def find(self) -> int | None:
        """Where the first message begins for sure; None when it is not known yet."""
        data = self.data
        still_open: list[int] = []
        for offset in self._candidates():
            verdict = follow(data, offset, self.trusted and self._begins_segment(offset))
            if verdict is Verdict.MESSAGES:
                return offset
            if verdict is Verdict.OPEN and len(still_open) < _MAX_OPEN:
                still_open.append(offset)
        self._open = still_open
        self._scanned = max(self._scanned, len(data) - SHORT_SIZE + 1)
        return None

    def pieces(self, begin: int) -> list[tuple[int, bytes]]:
        """What waits from `begin` on, each piece with the time at which it arrived."""
        pieces = []
        for i in range(bisect_right(self._ends, begin), len(self._ends)):
            pieces.append((self._times[i], bytes(self.data[begin : self._ends[i]])))
            begin = self._ends[i]
        return pieces

    def _candidates(self) -> Iterator[int]:
        yield from self._open
        last = len(self.data) - SHORT_SIZE + 1
        if self.phase is not None:
            first = self._scanned + (self.phase - self._scanned) % 8
            yield from range(first, last, 8)
            return
        # The pattern looks at less than a header, so all that it needs is in the data below `last`.
        for match in _MAY_BEGIN.finditer(self.data, self._scanned):
            if match.start() >= last:
                return
            yield match.start()

    def _begins_segment(self, offset: int) -> bool:
        if self.phase is not None or offset == 0:
            return True
        i = bisect_right(self._ends, offset)
        return i > 0 and self._ends[i - 1] == offset

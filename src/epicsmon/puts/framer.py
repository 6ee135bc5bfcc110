"""From the bytes of one direction to its messages: headers walked, payloads joined only where they are needed.

A framer begins FRESH (the connection was seen from its first byte, which must be a first message of Channel Access) or
SEARCHING (joined in the middle, or after a loss). While SEARCHING the bytes wait until headers agree (see
`epicsmon.ca.plausible`), then they are walked as if nothing had happened, each with its own time. A hole inside a
payload does not end the walk: where the next header lies is known.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol

from epicsmon.ca.commands import LAST_COMMAND, Command
from epicsmon.ca.header import EXTENDED_MARK, EXTENDED_SIZE, EXTENSION, SHORT, SHORT_SIZE, Buffer
from epicsmon.ca.plausible import MAX_TEXT, first_plausible
from epicsmon.puts.limits import Budget, Limits
from epicsmon.puts.search import HeaderSearch

OnMessage = Callable[[int, int, int, int, int, int, Buffer, int, int], None]
"""(time_ns, command, data_type, count, parameter1, parameter2, data, offset and size of the payload in it)."""
OnBegun = Callable[[int, int], None]
"""(command, parameter1): the header of a message is here, its payload not yet."""
OnDamaged = Callable[[int, int, int, int, int, int, int], None]
"""(time_ns, command, data_type, count, parameter1, parameter2, payload size): the payload is not known."""


class Owner(Protocol):
    """Is told what happens to the stream beside messages."""

    def lost(self, time_ns: int, size: int, detail: str) -> None:
        """So many bytes of the stream were lost."""

    def desynchronised(self) -> None:
        """Whole messages may be among what is lost now."""

    def proven(self) -> None:
        """This is Channel Access."""

    def refused(self) -> bool:
        """This does not look like Channel Access; true when the stream shall be left alone from now on."""


class Interest(Enum):
    """How much of a message somebody wants."""

    NONE = 0
    HEADER = 1
    PAYLOAD = 2


_PAYLOADS = (
    Command.WRITE,
    Command.WRITE_NOTIFY,
    Command.CREATE_CHAN,
    Command.CLIENT_NAME,
    Command.HOST_NAME,
    Command.ERROR,
)
_HEADERS = (
    Command.VERSION,
    Command.CLEAR_CHANNEL,
    Command.ACCESS_RIGHTS,
    Command.CREATE_CH_FAIL,
    Command.SERVER_DISCONN,
)
_INTEREST = tuple(
    Interest.PAYLOAD if c in _PAYLOADS else Interest.HEADER if c in _HEADERS else Interest.NONE
    for c in range(LAST_COMMAND + 1)
)
_PUTS = (Command.WRITE, Command.WRITE_NOTIFY)


class State(Enum):
    """Where a framer stands."""

    FRESH = "fresh"
    SYNCED = "synced"
    SEARCHING = "searching"
    DEAD = "dead"


# Looking up a member of an Enum costs as much as the rest of a comparison.
_SYNCED = State.SYNCED
_NONE, _HEADER, _PAYLOAD = Interest.NONE, Interest.HEADER, Interest.PAYLOAD


class _Fields(NamedTuple):
    command: int
    data_type: int
    elements: int
    p1: int
    p2: int
    size: int


class Framer:
    """The messages of one direction; a `Sink` of its stream. The call-backs may be replaced at any time."""

    __slots__ = (
        "_broken",
        "_budget",
        "_held",
        "_limits",
        "_need",
        "_owner",
        "_search",
        "_skip",
        "_tail",
        "begun",
        "damaged",
        "message",
        "state",
    )

    def __init__(self, owner: Owner, message: OnMessage, damaged: OnDamaged, limits: Limits, budget: Budget) -> None:
        self.message = message
        self.begun: OnBegun = _ignore
        self.damaged = damaged
        self.state = State.SEARCHING
        self._owner = owner
        self._limits = limits
        self._budget = budget
        self._tail = bytearray()
        self._need = 0
        self._skip = 0
        self._broken: _Fields | None = None
        self._search = HeaderSearch()
        self._held = 0

    @property
    def held(self) -> int:
        """The bytes of memory held for what is not complete yet."""
        return self._held

    def begin(self) -> None:
        """The next byte is the first of the connection."""
        self.state = State.FRESH

    def trust(self) -> None:
        """The stream is known to be Channel Access: one good header is enough to join it."""
        self._search.trusted = True

    def data(self, time_ns: int, chunk: Buffer) -> None:
        """Walk the next bytes of the stream."""
        if self.state is _SYNCED and not self._skip and not self._need:
            self._walk(time_ns, chunk)
            if self.state is _SYNCED and not self._need:
                return
        else:
            self._take(time_ns, chunk)
        if self.state is not _SYNCED:
            self._resume(time_ns)
        self._account()

    def hole(self, time_ns: int, size: int) -> None:
        """The next `size` bytes are missing."""
        if self.state is State.DEAD:
            return
        if self.state is not State.SYNCED:
            self._hole_while_searching(time_ns, size)
        else:
            self._hole_in_messages(time_ns, size)
        self._account()

    def shed(self, time_ns: int) -> None:
        """Let go of what is held, and count it as lost; a message that was under way is known to be damaged."""
        if self.state is State.SYNCED:
            size = len(self._tail)
            if self._break_tail():
                self._owner.lost(time_ns, size, "no memory for an unfinished message")
        elif self._search.size:
            self._owner.lost(time_ns, self._search.size, "no memory to search for headers")
            self._search.clear()
        self._account()

    def close(self, time_ns: int) -> None:
        """The stream is over: what was still searched is lost; an unfinished message was never sent whole."""
        if self.state is State.SEARCHING and self._search.size:
            self._owner.lost(time_ns, self._search.size, "no header found before the end of the stream")
        self.kill()

    # Synchronised

    def _walk(self, time_ns: int, data: Buffer) -> None:
        """The hot path: every byte of every circuit comes through here, in whole segments."""
        offset, end = 0, len(data)
        need = SHORT_SIZE
        while end - offset >= SHORT_SIZE:
            command, size, data_type, count, p1, p2 = SHORT.unpack_from(data, offset)
            body = offset + SHORT_SIZE
            if size == EXTENDED_MARK:
                if end - offset < EXTENDED_SIZE:
                    need = EXTENDED_SIZE
                    break
                size, count = EXTENSION.unpack_from(data, body)
                body += 8
            if command > LAST_COMMAND or size & 7:
                self._lose_track(time_ns, data, offset)
                return
            interest = _INTEREST[command]
            following = body + size
            if following <= end:
                if interest is not _NONE:
                    self.message(time_ns, command, data_type, count, p1, p2, data, body, size)
                offset = following
                continue
            if interest is _PAYLOAD:
                self.begun(command, p1)
                if size <= (self._limits.message if command in _PUTS else MAX_TEXT):
                    need = following - offset
                    break
                self._broken = _Fields(command, data_type, count, p1, p2, size)
                self._owner.lost(time_ns, size, f"a payload of {size} bytes is more than the limit")
            elif interest is _HEADER:
                self.message(time_ns, command, data_type, count, p1, p2, data, body, 0)
            self._skip = following - end
            return
        if offset < end:
            self._tail += data[offset:]
            self._need = need

    def _take(self, time_ns: int, chunk: Buffer) -> None:
        """Bytes that follow something unfinished."""
        if self.state is State.DEAD:
            return
        if self.state is not State.SYNCED:
            self._search.add(time_ns, chunk)
            return
        if self._skip:
            skipped = min(self._skip, len(chunk))
            self._skip_over(time_ns, skipped)
            chunk = chunk[skipped:]
            if not chunk:
                return
        if self._need:
            self._tail += chunk
            if len(self._tail) < self._need:
                return
            chunk = bytes(self._tail)
            self._tail.clear()
            self._need = 0
        self._walk(time_ns, chunk)

    def _skip_over(self, time_ns: int, size: int) -> None:
        self._skip -= size
        if not self._skip and self._broken is not None:
            fields, self._broken = self._broken, None
            self.damaged(time_ns, *fields)

    def _hole_in_messages(self, time_ns: int, size: int) -> None:
        self._break_tail()
        remaining = self._skip
        if size <= remaining:
            self._owner.lost(time_ns, size, "bytes missing inside a message")
            self._skip_over(time_ns, size)
            return
        # An unfinished header leaves the tail in place: the next header lies a multiple of 8 from its beginning.
        partial = len(self._tail)
        self._tail.clear()
        self._need = 0
        self._skip_over(time_ns, remaining)
        self._skip = 0
        self.state = State.SEARCHING
        self._search.clear(phase=(remaining - partial - size) % 8)
        self._owner.desynchronised()
        self._owner.lost(time_ns, size + partial, "bytes missing")

    def _break_tail(self) -> bool:
        """Turn an unfinished message into one to be skipped and reported as damaged; false without its header."""
        tail = self._tail
        if len(tail) < SHORT_SIZE:
            return False
        command, size, data_type, count, p1, p2 = SHORT.unpack_from(tail, 0)
        if size == EXTENDED_MARK:
            if len(tail) < EXTENDED_SIZE:
                return False
            size, count = EXTENSION.unpack_from(tail, SHORT_SIZE)
        self._skip = self._need - len(tail)
        self._broken = _Fields(command, data_type, count, p1, p2, size)
        self._need = 0
        tail.clear()
        return True

    # Not synchronised

    def _lose_track(self, time_ns: int, data: Buffer, offset: int) -> None:
        """A header that cannot be one: everything from it on is searched again, with no known alignment."""
        self.state = State.SEARCHING
        self._owner.desynchronised()
        self._search.clear()
        self._search.add(time_ns, data[offset:])

    def _hole_while_searching(self, time_ns: int, size: int) -> None:
        search = self._search
        if self.state is State.FRESH:
            self.state = State.SEARCHING
            search.phase = 0
        phase = None if search.phase is None else (search.phase - search.size - size) % 8
        lost = search.size + size
        search.clear(phase=phase)
        self._owner.desynchronised()
        self._owner.lost(time_ns, lost, "bytes missing")

    def _resume(self, time_ns: int) -> None:
        """Walk on from the first header found, and again after every new loss of track."""
        search = self._search
        if self.state is State.FRESH:
            verdict = first_plausible(search.data)
            if verdict is None:
                return
            if verdict:
                self._join(time_ns, 0)
            else:
                self._refuse()
        while self.state is State.SEARCHING:
            begin = search.find()
            if begin is not None:
                self._join(time_ns, begin)
            elif search.held > self._limits.search_bytes:
                self._owner.lost(time_ns, search.size, "no header found")
                search.clear()
                self._refuse()
            else:
                return

    def _refuse(self) -> None:
        if self._owner.refused():
            self.kill()
        else:
            self.state = State.SEARCHING

    def _join(self, time_ns: int, begin: int) -> None:
        """Walk what was searched from `begin` on; track may be lost again on the way."""
        pieces = self._search.pieces(begin)
        self.state = State.SYNCED
        self._search.clear()
        self._owner.proven()
        if begin:
            self._owner.lost(time_ns, begin, "skipped until headers agreed")
        for arrived_ns, piece in pieces:
            self._take(arrived_ns, piece)

    def kill(self) -> None:
        """Ignore everything from now on."""
        self.state = State.DEAD
        self._tail.clear()
        self._search.clear()
        self._need = self._skip = 0
        self._broken = None
        self._account()

    def _account(self) -> None:
        held = len(self._tail) + self._search.held
        self._budget.used += held - self._held
        self._held = held


def _ignore(command: int, p1: int) -> None:
    pass

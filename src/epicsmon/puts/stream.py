"""One direction of a TCP connection, put back in order: chunks and holes, each byte of the stream exactly once.

A hole is waited for until the receiver acknowledges bytes beyond it (then it did arrive there and only the capture
missed it), until too much waits behind it, or until its time is over. There is no clock here: the time is that of the
segments and of `expire`.
"""

from __future__ import annotations

from bisect import insort
from enum import Enum
from typing import NamedTuple, Protocol

from epicsmon.ca.header import Buffer
from epicsmon.puts.limits import Budget, Limits

_MASK = 0xFFFFFFFF
_HALF = 1 << 31
_JUMP = 1 << 26
"""A sequence number this far from the expected one belongs to another connection on the same ports."""

_OVERHEAD = 200
"""What a waiting segment costs in Python beside its bytes, roughly."""


class Sink(Protocol):
    """Takes the stream in order."""

    def data(self, time_ns: int, chunk: Buffer) -> None:
        """The next bytes; `chunk` is valid only during the call."""

    def hole(self, time_ns: int, size: int) -> None:
        """The next `size` bytes were not captured."""


class Pushed(Enum):
    """What became of a segment."""

    TAKEN = "taken"
    WAITING = "waiting"
    DUPLICATE = "duplicate"
    FOREIGN = "foreign"


class _Waiting(NamedTuple):
    position: int
    order: int
    time_ns: int
    chunk: bytes
    wire_length: int


class Stream:
    """The order of one direction. `position` counts the bytes of the stream passed on so far."""

    __slots__ = ("_arrivals", "_bytes", "_end", "_sink", "acked", "budget", "limits", "position", "waiting", "wanted")

    def __init__(self, sink: Sink, limits: Limits, budget: Budget) -> None:
        self.limits = limits
        self.budget = budget
        self.position = 0
        self.waiting: list[_Waiting] = []
        self.acked: int | None = None
        self._sink = sink
        self.wanted: int | None = None
        self._bytes = 0
        self._end: int | None = None
        self._arrivals = 0

    @property
    def started(self) -> bool:
        """Whether it is known which byte comes next."""
        return self.wanted is not None

    @property
    def held(self) -> int:
        """The bytes of memory that waiting segments take, roughly."""
        return self._bytes

    def release(self) -> None:
        """Let go of what waits without passing it on."""
        self._hold(-self._bytes)
        self.waiting.clear()

    def start(self, seq: int) -> None:
        """The next byte of the stream has this sequence number."""
        self.wanted = seq & _MASK

    def end(self, seq: int) -> None:
        """The sender has ended the stream; its FIN has this sequence number and is acknowledged like a byte."""
        self._end = seq & _MASK

    def push(self, time_ns: int, seq: int, chunk: Buffer, wire_length: int) -> Pushed:
        """Take a segment's payload; what is now in order goes to the sink before this returns.

        FOREIGN says that it cannot belong to this stream; nothing was done with it.
        """
        if self.wanted == seq and not self.waiting:
            size = len(chunk)
            self.position += wire_length
            self.wanted = (seq + wire_length) & _MASK
            self._sink.data(time_ns, chunk)
            if wire_length > size:
                self._sink.hole(time_ns, wire_length - size)
            return Pushed.TAKEN
        return self._push_out_of_order(time_ns, seq, chunk, wire_length)

    def _push_out_of_order(self, time_ns: int, seq: int, chunk: Buffer, wire_length: int) -> Pushed:
        if self.wanted is None:
            self.wanted = seq
        ahead = self._ahead(seq)
        if not -_JUMP < ahead < _JUMP:
            return Pushed.FOREIGN
        if ahead + wire_length <= 0:
            return Pushed.DUPLICATE
        self._arrivals += 1
        segment = _Waiting(self.position + ahead, self._arrivals, time_ns, bytes(chunk), wire_length)
        insort(self.waiting, segment)
        self._hold(len(segment.chunk) + _OVERHEAD)
        before = self.position
        self._drain(time_ns)
        limits = self.limits
        while self.waiting and (
            self.unseen()
            or self._bytes > limits.waiting_bytes
            or len(self.waiting) > limits.waiting_segments
            or time_ns - self.waiting[0].time_ns > limits.patience_ns
        ):
            self._give_up(time_ns)
        return Pushed.TAKEN if self.position > before else Pushed.WAITING

    def acknowledge(self, time_ns: int, ack: int) -> None:
        """The receiver has everything before this sequence number: a hole before it will never be filled."""
        self.acked = ack
        while self.waiting and self.unseen():
            self._give_up(time_ns)

    def unseen(self) -> int:
        """How many bytes after the last one passed on the receiver has acknowledged."""
        if self.acked is None or self.wanted is None:
            return 0
        ahead = self._ahead(self.acked)
        if self._end is not None:
            ahead = min(ahead, self._ahead(self._end))
        return ahead if 0 < ahead < _JUMP else 0

    def expire(self, now_ns: int) -> None:
        """Give up holes that were waited for long enough."""
        while self.waiting and now_ns - self.waiting[0].time_ns > self.limits.patience_ns:
            self._give_up(now_ns)

    def flush(self, time_ns: int) -> None:
        """Give up every hole, the one at the end too that only an acknowledgement tells of: nothing more will come."""
        while self.waiting:
            self._give_up(time_ns)
        size = self.unseen()
        if size:
            self._advance(size)
            self._sink.hole(time_ns, size)

    def _ahead(self, seq: int) -> int:
        assert self.wanted is not None
        return ((seq - self.wanted + _HALF) & _MASK) - _HALF

    def _hold(self, size: int) -> None:
        self._bytes += size
        self.budget.used += size

    def _advance(self, size: int) -> None:
        assert self.wanted is not None
        self.position += size
        self.wanted = (self.wanted + size) & _MASK

    def _give_up(self, time_ns: int) -> None:
        """Pass on a hole: as far as the receiver acknowledged when it did, else up to the first waiting segment."""
        size = self.waiting[0].position - self.position
        acked = self.unseen()
        if acked:
            size = min(size, acked)
        if size > 0:
            self._advance(size)
            self._sink.hole(time_ns, size)
        self._drain(time_ns)

    def _drain(self, time_ns: int) -> None:
        waiting = self.waiting
        taken = 0
        while taken < len(waiting) and waiting[taken].position <= self.position:
            segment = waiting[taken]
            taken += 1
            self._hold(-len(segment.chunk) - _OVERHEAD)
            self._pass_on(time_ns, segment)
        del waiting[:taken]

    def _pass_on(self, time_ns: int, segment: _Waiting) -> None:
        skip = self.position - segment.position
        if skip >= segment.wire_length:
            return
        chunk = segment.chunk[skip:]
        self._advance(segment.wire_length - skip)
        if chunk:
            self._sink.data(segment.time_ns, chunk)
        missing = segment.wire_length - skip - len(chunk)
        if missing:
            self._sink.hole(time_ns, missing)

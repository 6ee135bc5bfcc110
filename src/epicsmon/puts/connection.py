"""One TCP connection: its two directions, which of them is the client's, and whether it is Channel Access at all.

Which side is the server is known from the SYN, from a hint (an IOC that listens there), or from the first message that
only one side sends: CREATE_CHAN has a payload only as a request, ACCESS_RIGHTS comes only from servers. The port
proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from epicsmon.ca.commands import Command
from epicsmon.ca.header import Buffer
from epicsmon.events import Endpoint, Gap, LossUnit, Stage
from epicsmon.puts.channels import Channels
from epicsmon.puts.circuit import Circuit, CircuitCounters, PutOrGap
from epicsmon.puts.framer import Framer
from epicsmon.puts.limits import Budget, Limits
from epicsmon.puts.stream import Stream

_REQUESTS = frozenset((Command.WRITE, Command.CLIENT_NAME, Command.HOST_NAME))
_REPLIES = frozenset((Command.ACCESS_RIGHTS, Command.ERROR, Command.CREATE_CH_FAIL, Command.SERVER_DISCONN))


class Surroundings:
    """What every connection of one tracker shares."""

    __slots__ = ("budget", "circuits", "emit", "limits", "lost_bytes", "resynchronised")

    def __init__(self, limits: Limits, emit: Callable[[PutOrGap], None]) -> None:
        self.limits = limits
        self.budget = Budget(limits.memory)
        self.emit = emit
        self.circuits = CircuitCounters()
        self.lost_bytes = 0
        self.resynchronised = 0


class Direction:
    """What one end sends: its stream and the messages in it."""

    __slots__ = ("connection", "dst", "finished", "framer", "isn", "reverse", "src", "stream", "unreported")

    reverse: Direction

    def __init__(self, connection: Connection, src: Endpoint, dst: Endpoint) -> None:
        shared = connection.shared
        self.connection = connection
        self.src = src
        self.dst = dst
        self.isn: int | None = None
        self.finished = False
        self.unreported: tuple[int, int, str] | None = None
        self.framer = Framer(self, self._undecided, self._undecided_damaged, shared.limits, shared.budget)
        self.stream = Stream(self.framer, shared.limits, shared.budget)

    def begin(self, seq: int) -> None:
        """The first byte of this direction will have this sequence number."""
        self.stream.start(seq)
        self.framer.begin()

    def lost(self, time_ns: int, size: int, detail: str) -> None:
        """Bytes are lost: a gap as soon as this is a circuit, of no interest when it is anything else."""
        connection = self.connection
        if not connection.is_ca:
            self.unreported = (time_ns, size + (self.unreported[1] if self.unreported else 0), detail)
            return
        connection.shared.lost_bytes += size
        circuit = connection.circuit
        side = "" if circuit is None else " (requests)" if circuit.client == self.src else " (replies)"
        connection.shared.emit(
            Gap(time_ns, Stage.STREAM, size, f"{self.src} -> {self.dst}{side}: {detail}", LossUnit.BYTES)
        )

    def report(self) -> None:
        """This is a circuit: what was lost before that was known becomes a gap."""
        if self.unreported is not None:
            unreported, self.unreported = self.unreported, None
            self.lost(*unreported)

    def desynchronised(self) -> None:
        """Whole messages may be lost."""
        connection = self.connection
        connection.shared.resynchronised += 1
        circuit = connection.circuit
        if circuit is not None:
            if circuit.client == self.src:
                circuit.requests_lost()
            else:
                circuit.replies_lost()

    def proven(self) -> None:
        """This is Channel Access."""
        self.connection.prove()

    def refused(self) -> bool:
        """This does not look like Channel Access; a connection that proved to be it before is not given up."""
        if not self.connection.is_ca:
            self.connection.rejected = True
        return self.connection.rejected

    def close(self, time_ns: int) -> None:
        """Nothing more will come."""
        self.stream.flush(time_ns)
        self.framer.close(time_ns)

    def _undecided(
        self,
        time_ns: int,
        command: int,
        data_type: int,
        count: int,
        p1: int,
        p2: int,
        data: Buffer,
        offset: int,
        size: int,
    ) -> None:
        if self._decide(command, count, size):
            self.framer.message(time_ns, command, data_type, count, p1, p2, data, offset, size)

    def _undecided_damaged(
        self, time_ns: int, command: int, data_type: int, count: int, p1: int, p2: int, size: int
    ) -> None:
        if self._decide(command, count, size):
            self.framer.damaged(time_ns, command, data_type, count, p1, p2, size)

    def _decide(self, command: int, count: int, size: int) -> bool:
        """Whether this message tells who is the client; a reply to WRITE_NOTIFY repeats the count without a payload."""
        if command in _REQUESTS:
            client = self.src
        elif command in _REPLIES:
            client = self.dst
        elif command == Command.CREATE_CHAN or (command == Command.WRITE_NOTIFY and (size or count)):
            client = self.src if size else self.dst
        else:
            return False
        self.connection.decide(client)
        return True


class Connection:
    """Both directions, and the circuit once it is known which of them are requests."""

    __slots__ = ("circuit", "closed", "is_ca", "last_ns", "namespace", "one", "other", "rejected", "shared")

    def __init__(self, one: Endpoint, other: Endpoint, namespace: int | None, shared: Surroundings) -> None:
        self.shared = shared
        self.namespace = namespace
        self.circuit: Circuit | None = None
        self.is_ca = False
        self.rejected = False
        self.closed = False
        self.last_ns = 0
        self.one = Direction(self, one, other)
        self.other = Direction(self, other, one)
        self.one.reverse = self.other
        self.other.reverse = self.one

    @property
    def held(self) -> int:
        """The bytes of memory held, roughly."""
        size = self.one.framer.held + self.one.stream.held + self.other.framer.held + self.other.stream.held
        return size + (self.circuit.channels.held if self.circuit is not None else 0)

    @property
    def has_channels(self) -> bool:
        """Whether names would be forgotten with it."""
        return self.circuit is not None and len(self.circuit.channels) > 0

    def prove(self) -> None:
        """This is Channel Access for sure: losses count from now on."""
        if not self.is_ca:
            self.is_ca = True
            for direction in (self.one, self.other):
                direction.framer.trust()
                direction.report()

    def decide(self, client: Endpoint) -> None:
        """One end is the client; later evidence changes nothing."""
        if self.circuit is not None:
            return
        shared = self.shared
        requests, replies = (self.one, self.other) if client == self.one.src else (self.other, self.one)
        self.circuit = circuit = Circuit(
            requests.src,
            replies.src,
            requests.stream,
            replies.stream,
            self.namespace,
            Channels(shared.limits.channels, shared.budget),
            shared.emit,
            shared.circuits,
        )
        requests.framer.message = circuit.request
        requests.framer.begun = circuit.begun_request
        requests.framer.damaged = circuit.damaged_request
        replies.framer.message = circuit.reply
        replies.framer.damaged = circuit.damaged_reply

    def shed(self, time_ns: int) -> None:
        """Let go of everything that takes memory: what is unfinished is lost, names are forgotten."""
        for direction in (self.one, self.other):
            direction.stream.flush(time_ns)
            direction.framer.shed(time_ns)
        if self.circuit is not None:
            self.circuit.channels.clear()

    def release(self) -> None:
        """Give all memory back; nothing is reported any more."""
        for direction in (self.one, self.other):
            direction.stream.release()
            direction.framer.kill()
        if self.circuit is not None:
            self.circuit.channels.clear()

    def close(self, time_ns: int) -> None:
        """The connection is over; its streams stay able to recognise late duplicates."""
        self.closed = True
        self.one.close(time_ns)
        self.other.close(time_ns)
        if self.circuit is not None:
            self.circuit.channels.clear()

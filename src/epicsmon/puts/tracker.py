"""All the circuits seen at one place: segments in, puts and gaps out.

Nothing here reads a clock or a socket: time is that of the segments and of `expire`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from epicsmon.ca.plausible import Verdict, follow
from epicsmon.capture.packet import ACK, FIN, RST, SYN, Segment
from epicsmon.events import Endpoint, Gap, LossUnit, Stage
from epicsmon.puts.circuit import PutOrGap
from epicsmon.puts.connection import Connection, Direction, Surroundings
from epicsmon.puts.limits import Limits
from epicsmon.puts.stream import Pushed

_Key = tuple[Endpoint, Endpoint, "int | None"]
_CONTROL = FIN | SYN | RST
_SHED_TO = 3, 4
_EVICT = 16
_FORGOTTEN_AT_ONCE = 1024


@dataclass(frozen=True)
class TrackerCounters:
    """What a tracker has seen so far; `circuits` are those open now, `lost_bytes` of circuits only, as in the gaps."""

    segments: int
    duplicates: int
    puts: int
    unnamed: int
    damaged: int
    lost_bytes: int
    resynchronised: int
    circuits: int
    evicted: int


class PutTracker:
    """Follows every TCP connection it is shown, and reports the puts of those that are Channel Access.

    `is_server` tells whether an endpoint is known to be a CA server (an IOC of this host listens there); it is asked
    once for each end of a new connection. Without it servers are found by what they say. `on_other` is told of
    connections that turn out to be something else, so that whoever captures may leave them out.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        is_server: Callable[[Endpoint], bool] | None = None,
        on_other: Callable[[Endpoint, Endpoint], None] | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._events: list[PutOrGap] = []
        self._shared = Surroundings(self._limits, self._events.append)
        self._is_server = is_server or _nobody
        self._on_other = on_other
        self._flows: dict[_Key, Direction] = {}
        self._connections: dict[Connection, None] = {}
        self._waiting: dict[Connection, None] = {}
        self._over: dict[Connection, None] = {}
        self._others: dict[_Key, None] = {}
        self._segments = 0
        self._duplicates = 0
        self._evicted = 0

    @property
    def counters(self) -> TrackerCounters:
        """The counts so far."""
        shared = self._shared
        return TrackerCounters(
            segments=self._segments,
            duplicates=self._duplicates,
            puts=shared.circuits.puts,
            unnamed=shared.circuits.unnamed,
            damaged=shared.circuits.damaged,
            lost_bytes=shared.lost_bytes,
            resynchronised=shared.resynchronised,
            circuits=sum(connection.is_ca and not connection.closed for connection in self._connections),
            evicted=self._evicted,
        )

    @property
    def held(self) -> int:
        """The bytes of memory that all circuits hold, roughly; never long above `Limits.memory`."""
        return self._shared.budget.used

    @property
    def remembered(self) -> int:
        """The connections it knows, those that are over and those not yet decided on among them."""
        return len(self._connections)

    def feed(self, segment: Segment) -> Sequence[PutOrGap]:
        """Take one segment; the puts it completes and the gaps it proves, in the order of the stream."""
        self._segments += 1
        time_ns, src, dst, seq, ack, flags, payload, wire_length, namespace = segment
        key = (src, dst, namespace)
        direction = self._flows.get(key)
        if flags & _CONTROL or direction is None:
            direction = self._control(key, direction, segment)
            if direction is None:
                return self._take()
            if flags & SYN:
                seq += 1
        connection = direction.connection
        connection.last_ns = time_ns
        if flags & ACK:
            # First of all, so that a reply which the client has seen is in place before the put that relies on it.
            reverse = direction.reverse.stream
            if reverse.waiting:
                reverse.acknowledge(time_ns, ack)
            else:
                reverse.acked = ack
        if wire_length:
            pushed = direction.stream.push(time_ns, seq, payload, wire_length)
            if pushed is not _TAKEN or connection.closed:
                self._unusual(key, direction, segment, seq, pushed)
            if connection.rejected:
                self._reject(connection)
            elif self._shared.budget.exceeded:
                self._shed(time_ns)
        if flags & (FIN | RST):
            self._finish(direction, segment)
        return self._take()

    def expire(self, now_ns: int) -> Sequence[PutOrGap]:
        """Give up holes that were waited for long enough, and forget connections that are over for long enough.

        To be called a few times a second when live.
        """
        for connection in list(self._waiting):
            one, other = connection.one.stream, connection.other.stream
            one.expire(now_ns)
            other.expire(now_ns)
            if not one.waiting and not other.waiting:
                del self._waiting[connection]
            if connection.rejected:
                self._reject(connection)
        for connection in list(islice(self._over, _FORGOTTEN_AT_ONCE)):
            if now_ns - connection.last_ns < self._limits.linger_ns:
                break
            self._remove(connection)
        return self._take()

    def close(self, time_ns: int) -> Sequence[PutOrGap]:
        """No more segments will come: what still waits is passed on, what is missing is lost."""
        for connection in list(self._connections):
            connection.close(time_ns)
            self._remove(connection)
        return self._take()

    def _take(self) -> Sequence[PutOrGap]:
        events = self._events
        if not events:
            return ()
        taken = events[:]
        events.clear()
        return taken

    def _control(self, key: _Key, direction: Direction | None, segment: Segment) -> Direction | None:
        """Find or make the direction of a segment that begins or ends something, or that nobody knows."""
        flags = segment.flags
        if flags & SYN:
            return self._syn(key, direction, segment)
        if direction is not None or flags & RST or not segment.wire_length:
            return direction
        if key in self._others:
            if not _reconsider(segment):
                return None
            del self._others[key]
            self._others.pop((key[1], key[0], key[2]), None)
        return self._new(key, segment.time_ns)

    def _syn(self, key: _Key, direction: Direction | None, segment: Segment) -> Direction:
        first = (segment.seq + 1) & 0xFFFFFFFF
        answer = bool(segment.flags & ACK)
        if direction is not None:
            if direction.isn == segment.seq:
                return direction
            continues = answer and direction.isn is None and direction.reverse.isn is not None
            if not continues:
                self._drop(direction.connection, segment.time_ns)
                direction = None
        if direction is None:
            for other in (key, (key[1], key[0], key[2])):
                self._others.pop(other, None)
            direction = self._new(key, segment.time_ns)
        direction.isn = segment.seq
        direction.begin(first)
        if answer and not direction.reverse.stream.started:
            direction.reverse.begin(segment.ack)
        direction.connection.decide(segment.dst if answer else segment.src)
        return direction

    def _new(self, key: _Key, time_ns: int) -> Direction:
        if len(self._connections) >= self._limits.circuits:
            self._evict(time_ns)
        src, dst, namespace = key
        connection = Connection(src, dst, namespace, self._shared)
        connection.last_ns = time_ns
        self._connections[connection] = None
        self._flows[key] = connection.one
        self._flows[dst, src, namespace] = connection.other
        from_server, to_server = self._is_server(src), self._is_server(dst)
        if from_server or to_server:
            connection.prove()
            if from_server != to_server:
                connection.decide(dst if from_server else src)
        return connection.one

    def _unusual(self, key: _Key, direction: Direction, segment: Segment, seq: int, pushed: Pushed) -> None:
        """A segment that was not simply the next one of an open connection."""
        if pushed is Pushed.DUPLICATE:
            self._duplicates += 1
        elif pushed is Pushed.FOREIGN or direction.connection.closed:
            self._begin_again(key, direction.connection, segment, seq)
        else:
            self._waiting[direction.connection] = None

    def _begin_again(self, key: _Key, connection: Connection, segment: Segment, seq: int) -> None:
        """Another connection on the same ports, whose SYN was missed: nothing known of the old one holds."""
        if connection.is_ca and not connection.closed:
            # How many bytes were missed cannot be known; at least the SYN was.
            detail = f"{segment.src} -> {segment.dst}: sequence numbers jumped, a new connection is assumed"
            self._events.append(Gap(segment.time_ns, Stage.STREAM, 1, detail, LossUnit.PACKETS))
        self._drop(connection, segment.time_ns)
        fresh = self._new(key, segment.time_ns)
        if connection.is_ca:
            fresh.connection.prove()
        fresh.stream.push(segment.time_ns, seq, segment.payload, segment.wire_length)

    def _finish(self, direction: Direction, segment: Segment) -> None:
        if segment.flags & FIN:
            direction.stream.end(segment.seq + segment.wire_length)
        direction.finished = True
        connection = direction.connection
        if not connection.closed and (segment.flags & RST or direction.reverse.finished):
            connection.close(segment.time_ns)
            self._waiting.pop(connection, None)
            self._over[connection] = None

    def _reject(self, connection: Connection) -> None:
        """Not Channel Access: remembered, so that its segments cost one look-up each from now on."""
        one = connection.one
        self._remove(connection)
        for src, dst in ((one.src, one.dst), (one.dst, one.src)):
            if len(self._others) >= self._limits.other_flows:
                del self._others[next(iter(self._others))]
            self._others[src, dst, connection.namespace] = None
        if self._on_other is not None:
            self._on_other(one.src, one.dst)

    def _drop(self, connection: Connection, time_ns: int) -> None:
        if not connection.closed:
            connection.close(time_ns)
        self._remove(connection)

    def _remove(self, connection: Connection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._waiting.pop(connection, None)
            self._over.pop(connection, None)
            connection.release()
            one = connection.one
            self._flows.pop((one.src, one.dst, connection.namespace), None)
            self._flows.pop((one.dst, one.src, connection.namespace), None)

    def _evict(self, time_ns: int) -> None:
        """Make room: those over go first, then those without channels, so that a flood pushes out itself first.

        Among equals those go that were silent for longest.
        """
        victims = sorted(self._connections, key=lambda c: (not c.closed, c.has_channels, c.last_ns))
        for connection in victims[: max(1, len(victims) // _EVICT)]:
            self._evicted += 1
            self._drop(connection, time_ns)

    def _shed(self, time_ns: int) -> None:
        """Free memory: those that hold most go first, so that one hostile circuit cannot push out the others."""
        budget = self._shared.budget
        kept, of = _SHED_TO
        for connection in sorted(self._connections, key=lambda connection: -connection.held):
            if budget.used * of <= budget.limit * kept:
                return
            connection.shed(time_ns)


_TAKEN = Pushed.TAKEN


def _nobody(endpoint: Endpoint) -> bool:
    return False


def _reconsider(segment: Segment) -> bool:
    """Whether a segment of what seemed to be no circuit begins with messages after all."""
    payload = segment.payload
    return len(payload) >= 16 and payload[0] == 0 and follow(payload, 0, False) is Verdict.MESSAGES

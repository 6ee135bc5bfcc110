"""Channel Access traffic made by hand: a client and a server that talk, and the TCP segments that carry it.

The conversation is the truth: it knows every put it made, with the name the channel really had. Numbers are used again
as real ends do (a SID as soon as it is free, a CID after the channel was cleared), which is where a decoder goes wrong.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from epicsmon.ca.commands import Command
from epicsmon.ca.dbr import LAYOUTS, DbrType
from epicsmon.ca.header import encode_message
from epicsmon.capture.packet import ACK, FIN, PSH, SYN, Segment
from epicsmon.events import Endpoint, Value

CLIENT = Endpoint("10.1.2.7", 50662)
SERVER = Endpoint("10.1.2.1", 5064)
MASK = 0xFFFFFFFF


def text(value: str) -> bytes:
    """A string as a payload: ended by a NUL."""
    return value.encode() + b"\0"


def encode_value(data_type: int, value: Value) -> bytes:
    """A value of a plain type as a client puts it, without the padding."""
    code = LAYOUTS[DbrType(data_type)].code
    if code == "s":
        if isinstance(value, str):
            return text(value)
        assert isinstance(value, tuple)
        return b"".join(str(item).encode().ljust(40, b"\0") for item in value)
    if isinstance(value, bytes):
        return value
    items = value if isinstance(value, tuple) else (value,)
    return struct.pack(f">{len(items)}{code}", *items)


@dataclass(frozen=True)
class MadePut:
    """A put that was really made."""

    pv: str
    value: Value
    data_type: int
    count: int
    notify: bool
    sid: int
    cid: int


@dataclass
class Conversation:
    """What both ends of one circuit say, in the order it happens; `said` holds (is from the client, bytes)."""

    user: str = "alice"
    host: str = "opi07"
    priority: int = 0
    said: list[tuple[bool, bytes]] = field(default_factory=list)
    puts: list[MadePut] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    cids: dict[int, int] = field(default_factory=dict)
    asked: dict[int, str] = field(default_factory=dict)
    ioid: int = 0

    def request(self, command: Command, payload: bytes = b"", **header: int) -> None:
        self.said.append((True, encode_message(command, payload, **header)))

    def reply(self, command: Command, payload: bytes = b"", **header: int) -> None:
        self.said.append((False, encode_message(command, payload, **header)))

    def begin(self) -> Conversation:
        self.request(Command.VERSION, data_type=self.priority, count=13)
        self.request(Command.CLIENT_NAME, text(self.user))
        self.request(Command.HOST_NAME, text(self.host))
        self.reply(Command.VERSION, count=13)
        return self

    def ask(self, name: str, cid: int) -> None:
        self.request(Command.CREATE_CHAN, text(name), p1=cid, p2=13)
        self.asked[cid] = name

    def answer(self, cid: int, sid: int | None = None, native: int = 6) -> int:
        sid = self.free_sid() if sid is None else sid
        self.reply(Command.ACCESS_RIGHTS, p1=cid, p2=3)
        self.reply(Command.CREATE_CHAN, data_type=native, count=1, p1=cid, p2=sid)
        self.names[sid] = self.asked.pop(cid)
        self.cids[sid] = cid
        return sid

    def create(self, name: str, cid: int, sid: int | None = None) -> int:
        self.ask(name, cid)
        return self.answer(cid, sid)

    def refuse(self, cid: int) -> None:
        del self.asked[cid]
        self.reply(Command.CREATE_CH_FAIL, p1=cid)

    def clear(self, sid: int, acknowledged: bool = True) -> None:
        cid = self.cids.pop(sid)
        del self.names[sid]
        self.request(Command.CLEAR_CHANNEL, p1=sid, p2=cid)
        if acknowledged:
            self.reply(Command.CLEAR_CHANNEL, p1=sid, p2=cid)

    def take_away(self, sid: int) -> None:
        del self.names[sid]
        self.reply(Command.SERVER_DISCONN, p1=self.cids.pop(sid))

    def put(self, sid: int, value: Value, data_type: int = 6, *, notify: bool = False) -> None:
        payload = encode_value(data_type, value)
        count = len(value) if isinstance(value, (tuple, bytes)) else 1
        self.ioid += 1
        command = Command.WRITE_NOTIFY if notify else Command.WRITE
        cid = self.cids[sid]
        self.request(command, payload, data_type=data_type, count=count, p1=sid, p2=self.ioid if notify else cid)
        self.puts.append(MadePut(self.names[sid], value, data_type, count, notify, sid, cid))
        if notify:
            self.reply(Command.WRITE_NOTIFY, data_type=data_type, count=count, p1=1, p2=self.ioid)

    def update(self, value: Value, data_type: int = 6) -> None:
        """A monitor update."""
        count = len(value) if isinstance(value, tuple) else 1
        payload = encode_value(data_type, value)
        self.reply(Command.EVENT_ADD, payload, data_type=data_type, count=count, p1=1, p2=7)

    def free_sid(self) -> int:
        return next(sid for sid in range(len(self.names) + 1) if sid not in self.names)


def random_conversation(rng: random.Random, length: int) -> Conversation:
    """Channels come and go, puts of many types are made, updates flow; every put has a value of its own."""
    talk = Conversation(priority=rng.randrange(100)).begin()
    serial = 0
    for _ in range(length):
        choice = rng.random()
        free_cids = [cid for cid in range(4) if cid not in talk.asked and cid not in talk.cids.values()]
        sid = rng.choice(sorted(talk.names)) if talk.names else None
        if choice < 0.12 and free_cids:
            talk.ask(f"PV:{rng.randrange(6)}", rng.choice(free_cids))
        elif choice < 0.24 and talk.asked:
            # A server answers in the order it was asked.
            cid = next(iter(talk.asked))
            if rng.random() < 0.1:
                talk.refuse(cid)
            else:
                talk.answer(cid)
        elif choice < 0.30 and sid is not None:
            talk.clear(sid, rng.random() < 0.8)
        elif choice < 0.33 and sid is not None:
            talk.take_away(sid)
        elif choice < 0.50:
            talk.update(tuple(rng.random() for _ in range(rng.choice((2, 3, 50)))))
        elif sid is not None:
            serial += 1
            talk.put(sid, *random_value(rng, serial), notify=rng.random() < 0.4)
    return talk


def random_value(rng: random.Random, serial: int) -> tuple[Value, int]:
    """A value that holds the serial number, and its type."""
    return rng.choice(
        (
            (float(serial), DbrType.DOUBLE),
            (serial, DbrType.LONG),
            (str(serial), DbrType.STRING),
            ((str(serial), "", "x" * 39), DbrType.STRING),
            (serial.to_bytes(4, "big") + bytes(rng.randrange(256) for _ in range(9)), DbrType.CHAR),
            (tuple(float(serial + i) for i in range(rng.choice((2, 40, 300)))), DbrType.DOUBLE),
        )
    )


@dataclass
class Wire:
    """Cuts a conversation into segments, as TCP might: `sizes` are the lengths that segments get in turn.

    Each end acknowledges what the other has sent so far. A run of one end's messages is one write to its socket.
    """

    sizes: Iterable[int]
    client: Endpoint = CLIENT
    server: Endpoint = SERVER
    client_isn: int = 0xFFFFFF00
    server_isn: int = 77
    start_ns: int = 1_700_000_000_000_000_000
    step_ns: int = 1000

    def carry(self, talk: Conversation, *, handshake: bool = True, end: bool = True) -> Iterator[Segment]:
        sizes = iter(self.sizes)
        seqs = {True: self.client_isn, False: self.server_isn}
        time_ns = self.start_ns

        def segment(from_client: bool, payload: bytes, flags: int) -> Segment:
            nonlocal time_ns
            time_ns += self.step_ns
            src, dst = (self.client, self.server) if from_client else (self.server, self.client)
            seq = seqs[from_client]
            seqs[from_client] = (seq + len(payload) + bool(flags & (SYN | FIN))) & MASK
            return Segment(time_ns, src, dst, seq, seqs[not from_client], flags, payload, len(payload))

        syn = segment(True, b"", SYN)
        answer = segment(False, b"", SYN | ACK)
        if handshake:
            yield syn
            yield answer
        for from_client, stretch in _stretches(talk.said):
            while stretch:
                size = max(1, next(sizes))
                yield segment(from_client, stretch[:size], ACK | PSH)
                stretch = stretch[size:]
        if end:
            yield segment(True, b"", FIN | ACK)
            yield segment(False, b"", FIN | ACK)


def _stretches(said: list[tuple[bool, bytes]]) -> Iterator[tuple[bool, bytes]]:
    run = bytearray()
    speaker = True
    for from_client, message in said:
        if from_client != speaker and run:
            yield speaker, bytes(run)
            run = bytearray()
        speaker = from_client
        run += message
    if run:
        yield speaker, bytes(run)


def random_sizes(rng: random.Random, largest: int = 1448) -> Iterator[int]:
    """Lengths of segments: mostly short, now and then full, never in step with messages."""
    while True:
        yield rng.choice((rng.randint(1, 40), rng.randint(1, largest), largest))

"""Picks the segments of Channel Access circuits out of all packets of a network namespace.

A socket filter on a packet socket (AF_PACKET, SOCK_DGRAM: packets begin at the IP header). It keeps nothing in the
socket; what belongs to a circuit goes to the ring with its addresses, sequence number and bytes. A connection is a
circuit when one of its ends is a port on which a CA server of this namespace is known to listen, when it begins with a
VERSION message, or when what it carries looks like CA messages; user space, which sees more, has the last word on that.

The SYNs of a connection are only remembered until then, so that the connections of everybody else, and floods of SYNs,
cost user space nothing.
"""

from __future__ import annotations

from pybpf.hooks.socket_filter import socket_filter
from pybpf.lang import (
    SkBuff,
    Struct,
    byte_array,
    ktime_get_ns,
    sizeof,
    skb_load_bytes,
    swap16,
    u8,
    u16,
    u32,
    u64,
)
from pybpf.maps import HashMap, LruHashMap, PerCpuArray, RingBuffer
from pybpf.object import BpfObject

ETH_P_IP = 0x0800
PACKET_OUTGOING = 4  # linux/if_packet.h
LOOPBACK_IFINDEX = 1  # of every network namespace
IPPROTO_TCP = 6
FRAGMENT = 0x3FFF  # more fragments, or an offset
SHORTEST_HEADER = 20  # of IPv4 and of TCP, without options

SYN = 0x02
FIN_SYN_RST = 0x07
ACK = 0x10

CHUNK = 16_384
"""Bytes of a segment that go up at once; frames of lo, and those joined by GRO, have up to 64 KB."""
CHUNKS = 5
"""Pieces of one segment at most. Only BIG TCP over IPv4 (Linux 6.3), which is off by default, makes longer ones."""

UNDECIDED = 0
CIRCUIT = 1
OTHER = 2
"""Not Channel Access as far as anybody can tell; only a segment that is exactly one message changes that."""
ENOUGH = 8
"""Segments with data after which a connection that never looked like CA is OTHER."""

SYN_SEEN = 1
ANSWER_SEEN = 2

# rows of counts
SEGMENTS = 0
"""Segments of circuits. Their pieces are in the ring, or counted in one of the next two rows."""
RING_FULL = 1
"""Pieces for which the ring had no room."""
UNREADABLE = 2
"""Segments of which a piece could not be copied, or that have more than CHUNKS pieces; what is left is not sent."""
FRAGMENTS = 3
"""IP fragments, which are not put together."""
OTHERS = 4
"""Segments with data that stayed in the kernel, their connection being no circuit."""
ROWS = 5

NO_WAKEUP = 1  # BPF_RB_NO_WAKEUP: the reader looks by itself

# caProto.h, db_access.h
WITH_VALUES = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 15 | 1 << 19
"""The commands EVENT_ADD, READ, WRITE, READ_NOTIFY and WRITE_NOTIFY: the messages that may be long."""
HIGHEST_COMMAND = 27
HIGHEST_TYPE = 38
MAX_PRIORITY = 99
MAX_VERSION = 32
HEADER = 16
EXTENDED = 0xFFFF
"""The payload size that says that the real one follows the header."""


class FlowKey(Struct):
    """A connection, the same for both directions: the lower address (then port) comes first."""

    low: u32
    high: u32
    low_port: u16
    high_port: u16


class Flow(Struct):
    """What is known of a connection.

    ``opened`` says whether its SYN or the answer to it was seen, ``client_low`` which end sent the SYN; ``syn`` and
    ``answer`` are the sequence numbers of the two.
    """

    verdict: u8
    tries: u8
    opened: u8
    client_low: u8
    syn: u32
    answer: u32


class Piece(Struct):
    """What every event begins with; ``length`` bytes of TCP payload follow. Numbers are in host order.

    ``time`` is CLOCK_MONOTONIC in ns. ``seq`` is that of the first byte that follows, ``flags`` are TCP's. Before the
    first piece of a connection comes one with its SYN (or the answer to it), when that was seen; its time is not the
    SYN's own.
    """

    time: u64
    source: u32
    destination: u32
    source_port: u16
    destination_port: u16
    seq: u32
    ack: u32
    length: u32
    ifindex: u32
    flags: u32


class Scratch(Struct):
    """An event being put together; too large for the stack of a program."""

    piece: Piece
    data: bytes = byte_array(CHUNK)


class CaFilter(BpfObject):
    """The filter, the ring it writes to, and what it counts."""

    segments = RingBuffer(16 << 20)
    servers = HashMap(key=u16, value=u8, max_entries=4096)
    """TCP ports that CA servers of this network namespace listen on; user space fills it."""
    flows = LruHashMap(key=FlowKey, value=Flow, max_entries=65_536)
    scratch = PerCpuArray(value=Scratch, max_entries=1)
    counts = PerCpuArray(value=u64, max_entries=ROWS)

    @socket_filter
    def select(self, ctx: SkBuff) -> int:
        """One packet; the socket itself keeps none."""
        if ctx.protocol != swap16(ETH_P_IP):
            return 0
        if ctx.ifindex == LOOPBACK_IFINDEX and ctx.pkt_type == PACKET_OUTGOING:
            return 0  # every frame of lo comes by twice
        if ctx.u8(9) != IPPROTO_TCP:
            return 0
        if ctx.u16(6) & FRAGMENT:
            self.counts[FRAGMENTS] += 1
            return 0
        tcp = (ctx.u8(0) & 15) * 4
        total = ctx.u16(2)
        if total == 0:
            total = ctx.len  # longer than 64 KB, before segmentation
        header = (ctx.u8(tcp + 12) >> 4) * 4
        data = tcp + header
        flags = ctx.u8(tcp + 13)
        if tcp < SHORTEST_HEADER or header < SHORTEST_HEADER:
            return 0
        if total < data or (total == data and not flags & FIN_SYN_RST):
            return 0
        if self.belongs(ctx, tcp, data, total - data, flags):
            self.send(ctx, tcp, data, total - data, flags)
        return 0

    def belongs(self, ctx: SkBuff, tcp: int, data: int, length: int, flags: int) -> bool:
        """Whether the segment is part of a circuit."""
        source = ctx.u32(12)
        destination = ctx.u32(16)
        source_port = ctx.u16(tcp)
        destination_port = ctx.u16(tcp + 2)
        from_low = source < destination or (source == destination and source_port < destination_port)
        if from_low:
            key = FlowKey(low=source, high=destination, low_port=source_port, high_port=destination_port)
        else:
            key = FlowKey(low=destination, high=source, low_port=destination_port, high_port=source_port)
        flow = self.flows.lookup(key)
        if flags & SYN:
            seq = ctx.u32(tcp + 4)
            syn = ctx.u32(tcp + 8) - 1 if flags & ACK else seq
            # Sent again, or seen at another interface: what became of the connection meanwhile stays.
            if flow is None or flow.opened == 0 or flow.syn != syn:
                client_low = from_low if flags & ACK == 0 else not from_low
                fresh = Flow(verdict=UNDECIDED, tries=0, opened=SYN_SEEN, client_low=client_low, syn=syn, answer=0)
                if flags & ACK:
                    fresh.opened = ANSWER_SEEN
                    fresh.answer = seq
                self.flows.update(key, fresh)
            elif flags & ACK:
                flow.answer = seq
                flow.opened = ANSWER_SEEN
            return False
        if flow is not None and flow.verdict == CIRCUIT:
            return True
        if length == 0:
            return False
        strict = flow is not None and flow.verdict == OTHER
        if not self.is_known(ctx, source_port, destination_port) and not self.speaks_ca(ctx, data, length, strict):
            self.counts[OTHERS] += 1
            if flow is None:
                fresh = Flow(verdict=UNDECIDED, tries=1, opened=0, client_low=0, syn=0, answer=0)
                self.flows.update(key, fresh)
            elif flow.verdict == UNDECIDED:
                flow.tries += 1
                if flow.tries >= ENOUGH:
                    flow.verdict = OTHER
            return False
        if flow is None:
            fresh = Flow(verdict=CIRCUIT, tries=0, opened=0, client_low=0, syn=0, answer=0)
            self.flows.update(key, fresh)
        else:
            # In this order: what another CPU sends up meanwhile must come after its own announcement.
            if flow.opened != 0:
                self.announce(ctx, key, flow)
            flow.verdict = CIRCUIT
        return True

    def is_known(self, ctx: SkBuff, source_port: int, destination_port: int) -> bool:
        """Whether the end that is in this namespace has the port of a CA server; on lo both are."""
        if ctx.pkt_type == PACKET_OUTGOING:
            return self.servers.lookup(source_port) is not None
        if self.servers.lookup(destination_port) is not None:
            return True
        return ctx.ifindex == LOOPBACK_IFINDEX and self.servers.lookup(source_port) is not None

    def speaks_ca(self, ctx: SkBuff, data: int, length: int, strict: bool) -> bool:
        """Whether the segment looks like CA: exactly one message when ``strict``, else also the beginning of more.

        That beginning is VERSION, a message with another after it, or the first part of a message with a value.
        """
        if length < HEADER:
            return False
        command = ctx.u16(data)
        size = ctx.u16(data + 2)
        kind = ctx.u16(data + 4)
        if command > HIGHEST_COMMAND:
            return False
        if command == 0:
            return not strict and size == 0 and kind <= MAX_PRIORITY and 0 < ctx.u16(data + 6) <= MAX_VERSION
        if kind > HIGHEST_TYPE:
            return False
        long = size == EXTENDED
        if not long and size & 7:
            return False
        following = HEADER + size
        if not long and following == length:
            return True
        if strict:
            return False
        if long or following > length:
            return WITH_VALUES >> command & 1 == 1
        if following + HEADER > length:
            return False
        return ctx.u16(data + following) <= HIGHEST_COMMAND and ctx.u16(data + following + 4) <= HIGHEST_TYPE

    def announce(self, ctx: SkBuff, key: FlowKey, flow: Flow) -> None:
        """Send the SYN of a connection that has turned out to be a circuit, or the answer to it."""
        scratch = self.scratch.lookup(0)
        if scratch is None:
            return
        piece = scratch.piece
        answered = flow.opened == ANSWER_SEEN
        from_low = flow.client_low != 0
        if answered:
            from_low = not from_low
        piece.time = ktime_get_ns()
        piece.source = key.low if from_low else key.high
        piece.destination = key.high if from_low else key.low
        piece.source_port = key.low_port if from_low else key.high_port
        piece.destination_port = key.high_port if from_low else key.low_port
        piece.seq = flow.answer if answered else flow.syn
        piece.ack = flow.syn + 1 if answered else 0
        piece.flags = SYN | ACK if answered else SYN
        piece.length = 0
        piece.ifindex = ctx.ifindex
        self.counts[SEGMENTS] += 1
        if self.segments.output(scratch, sizeof(Piece), NO_WAKEUP) != 0:
            self.counts[RING_FULL] += 1

    def send(self, ctx: SkBuff, tcp: int, data: int, length: int, flags: int) -> None:
        """Copy the segment to the ring, in pieces that each stand for a part of the stream."""
        self.counts[SEGMENTS] += 1
        scratch = self.scratch.lookup(0)
        if scratch is None:
            return
        piece = scratch.piece
        piece.time = ktime_get_ns()
        piece.source = ctx.u32(12)
        piece.destination = ctx.u32(16)
        piece.source_port = ctx.u16(tcp)
        piece.destination_port = ctx.u16(tcp + 2)
        piece.ack = ctx.u32(tcp + 8)
        piece.ifindex = ctx.ifindex
        piece.flags = flags & ~FIN_SYN_RST
        seq = ctx.u32(tcp + 4)
        done = 0
        for _ in range(CHUNKS):
            size = length - done
            if size <= CHUNK:
                piece.flags = flags  # the end of a stream comes after its last byte
            else:
                size = CHUNK
            piece.seq = seq + done
            piece.length = size
            if 0 < size <= CHUNK and skb_load_bytes(ctx, data + done, scratch.data, size) != 0:
                break
            if 0 <= size <= CHUNK and self.segments.output(scratch, sizeof(Piece) + size, NO_WAKEUP) != 0:
                self.counts[RING_FULL] += 1
            done += size
            if done >= length:
                return
        self.counts[UNREADABLE] += 1

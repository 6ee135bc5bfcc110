"""Picks the segments of Channel Access circuits out of all packets of a network namespace.

A socket filter on a packet socket (AF_PACKET, SOCK_DGRAM: packets begin at the IP header). It keeps nothing in the
socket; what belongs to a circuit goes to the ring with its addresses, sequence number and bytes. A connection is a
circuit when one of its ports is known to belong to a CA server, when it begins with a VERSION message, or when what it
carries looks like whole CA messages; user space, which sees more, has the last word on that.
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

FIN_SYN_RST = 0x07
SYN = 0x02

CHUNK = 16_384
"""Bytes of a segment that go up at once; frames of lo, and those joined by GRO, have up to 64 KB."""
CHUNKS = 5

UNDECIDED = 0
CIRCUIT = 1
OTHER = 2
ENOUGH = 8
"""Segments with data after which a connection that never looked like CA is no longer looked at."""

# rows of counts
SEGMENTS = 0
"""Segments of circuits."""
RING_FULL = 1
"""Pieces of segments for which the ring had no room."""
UNREADABLE = 2
"""Pieces whose bytes could not be copied."""
FRAGMENTS = 3
"""IP fragments, which are not put together."""
ROWS = 4

NO_WAKEUP = 1  # BPF_RB_NO_WAKEUP: the reader looks by itself

HIGHEST_COMMAND = 27  # caProto.h: CA_PROTO_SERVER_DISCONN
HIGHEST_TYPE = 38  # db_access.h: DBR_CLASS_NAME
MAX_VERSION = 32


class FlowKey(Struct):
    """A connection, the same for both directions: the lower address (then port) comes first."""

    low: u32
    high: u32
    low_port: u16
    high_port: u16


class Flow(Struct):
    """What is known of a connection."""

    verdict: u8
    tries: u8


class Piece(Struct):
    """What every event begins with; ``length`` bytes of TCP payload follow. Numbers are in host order.

    ``time`` is CLOCK_MONOTONIC in ns. ``seq`` is that of the first byte that follows, ``flags`` are TCP's.
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
        data = tcp + (ctx.u8(tcp + 12) >> 4) * 4
        flags = ctx.u8(tcp + 13)
        if total < data or (total == data and not flags & FIN_SYN_RST):
            return 0
        if self.belongs(ctx, tcp, data, total - data, flags):
            self.send(ctx, tcp, data, total - data, flags)
        return 0

    def belongs(self, ctx: SkBuff, tcp: int, data: int, length: int, flags: int) -> bool:
        """Whether the segment is part of a circuit; SYNs always are, their connections may become one."""
        source = ctx.u32(12)
        destination = ctx.u32(16)
        source_port = ctx.u16(tcp)
        destination_port = ctx.u16(tcp + 2)
        if source < destination or (source == destination and source_port < destination_port):
            key = FlowKey(low=source, high=destination, low_port=source_port, high_port=destination_port)
        else:
            key = FlowKey(low=destination, high=source, low_port=destination_port, high_port=source_port)
        if flags & SYN:
            self.flows.update(key, Flow(verdict=UNDECIDED, tries=0))
            return True
        flow = self.flows.lookup(key)
        if flow is not None:
            if flow.verdict == CIRCUIT:
                return True
            if flow.verdict == OTHER:
                return False
        known = self.servers.lookup(source_port) is not None or self.servers.lookup(destination_port) is not None
        if known or self.speaks_ca(ctx, data, length):
            self.flows.update(key, Flow(verdict=CIRCUIT, tries=0))
            return True
        if length == 0:
            return False
        if flow is None:
            self.flows.update(key, Flow(verdict=UNDECIDED, tries=1))
        else:
            flow.tries += 1
            if flow.tries >= ENOUGH:
                flow.verdict = OTHER
        return False

    def speaks_ca(self, ctx: SkBuff, data: int, length: int) -> bool:
        """Whether the segment begins with VERSION, or with a message that it holds exactly or that another follows."""
        if length < 16:
            return False
        command = ctx.u16(data)
        size = ctx.u16(data + 2)
        kind = ctx.u16(data + 4)
        if command == 0:
            return size == 0 and kind < 100 and 0 < ctx.u16(data + 6) <= MAX_VERSION
        if command > HIGHEST_COMMAND or kind > HIGHEST_TYPE or size & 7:
            return False
        following = 16 + size
        if following == length:
            return True
        if following + 16 > length:
            return False
        return ctx.u16(data + following) <= HIGHEST_COMMAND and ctx.u16(data + following + 4) <= HIGHEST_TYPE

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
        seq = ctx.u32(tcp + 4)
        done = 0
        for _ in range(CHUNKS):
            size = min(length - done, CHUNK)
            piece.seq = seq + done
            piece.length = size
            piece.flags = flags
            if 0 < size <= CHUNK and skb_load_bytes(ctx, data + done, scratch.data, size) != 0:
                self.counts[UNREADABLE] += 1
                return
            if 0 <= size <= CHUNK and self.segments.output(scratch, sizeof(Piece) + size, NO_WAKEUP) != 0:
                self.counts[RING_FULL] += 1
            done += size
            if done >= length:
                return
            flags = flags & ~FIN_SYN_RST

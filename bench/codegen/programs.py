"""The programs of programs.c in our language."""

from __future__ import annotations

from pybpf.hooks import socket_filter, uprobe
from pybpf.lang import (
    Registers,
    SkBuff,
    Struct,
    array,
    byte_array,
    get_current_comm,
    get_current_pid_tgid,
    ktime_get_ns,
    probe_read_user,
    skb_load_bytes,
    u8,
    u16,
    u16be,
    u32,
    u32be,
    u64,
)
from pybpf.maps import Array, HashMap, RingBuffer
from pybpf.object import BpfObject


class Call(Struct):
    record: u64
    start: u64
    depth: u32
    flags: u32


class Event(Struct):
    record: u64
    duration: u64
    thread: u64
    depth: u32
    flags: u32
    comm: bytes = byte_array(16)


class Flow(Struct):
    low: u32
    high: u32
    low_port: u16
    high_port: u16


class Frame(Struct):
    start: u64
    subject: u64


class Thread(Struct):
    depth: u32
    pad: u32
    seen: u64
    frames: list[Frame] = array(Frame, 16)


class Header(Struct):
    command: u16be
    size: u16be
    kind: u16be
    count: u16be
    first: u32be
    second: u32be


class Addresses(Struct):
    source: u32be
    destination: u32be


class Ports(Struct):
    source: u16be
    destination: u16be


class Byte(Struct):
    value: u8


class Bytes(Struct):
    data: list[int] = array(u8, 20)


def log2(value: int) -> int:
    n = 0
    while value > 1 and n < 63:
        value >>= 1
        n += 1
    return n


class Programs(BpfObject):
    table = Array(value=u64, max_entries=256)
    calls = HashMap(key=u64, value=Call, max_entries=1024)
    flows = HashMap(key=Flow, value=u64, max_entries=1024)
    threads = HashMap(key=u64, value=Thread, max_entries=1024)
    events = RingBuffer(65536)

    @socket_filter
    def count(self, ctx: SkBuff) -> int:
        protocol = Byte()
        if ctx.protocol != 8 or skb_load_bytes(ctx, 9, protocol, 1) != 0:
            return 0
        self.table[protocol.value] += 1
        return 0

    @socket_filter
    def parse(self, ctx: SkBuff) -> int:
        h = Header()
        if skb_load_bytes(ctx, 40, h, 16) != 0:
            return 0
        command = h.command
        size = h.size
        kind = h.kind
        if command == 0:
            return size == 0 and kind < 100
        if command > 27 or kind > 38 or size & 7:
            return 0
        return 16 + size <= ctx.len

    @socket_filter
    def flow_key(self, ctx: SkBuff) -> int:
        address = Addresses()
        ports = Ports()
        if skb_load_bytes(ctx, 12, address, 8) != 0 or skb_load_bytes(ctx, 20, ports, 4) != 0:
            return 0
        source = address.source
        destination = address.destination
        key = Flow()
        if source < destination:
            key.low = source
            key.high = destination
            key.low_port = ports.source
            key.high_port = ports.destination
        else:
            key.low = destination
            key.high = source
            key.low_port = ports.destination
            key.high_port = ports.source
        self.flows[key] += 1
        return 0

    @uprobe
    def entry(self, ctx: Registers) -> int:
        thread = get_current_pid_tgid()
        self.calls.update(thread, Call(record=ctx.argument(0), start=ktime_get_ns()))
        return 0

    @uprobe
    def leave(self, ctx: Registers) -> int:
        thread = get_current_pid_tgid()
        call = self.calls.lookup(thread)
        if call is None:
            return 0
        event = self.events.reserve(Event)
        if event is not None:
            event.record = call.record
            event.duration = ktime_get_ns() - call.start
            event.thread = thread
            event.depth = call.depth
            event.flags = ctx.return_value != 0
            get_current_comm(event.comm, 16)
            self.events.submit(event)
        self.calls.delete(thread)
        return 0

    @uprobe
    def histogram(self, ctx: Registers) -> int:
        thread = get_current_pid_tgid()
        call = self.calls.lookup(thread)
        if call is None:
            return 0
        self.table[log2(ktime_get_ns() - call.start)] += 1
        return 0

    @uprobe
    def push(self, ctx: Registers) -> int:
        thread = self.threads.lookup(get_current_pid_tgid())
        if thread is None:
            return 0
        depth = thread.depth
        thread.seen = thread.seen + 1
        if depth >= 16:
            return 1
        thread.depth = depth + 1
        frame = thread.frames[depth]
        frame.subject = ctx.argument(0)
        frame.start = ktime_get_ns()
        return 0

    @uprobe
    def pop(self, ctx: Registers) -> int:
        now = ktime_get_ns()
        me = get_current_pid_tgid()
        thread = self.threads.lookup(me)
        if thread is None or thread.depth == 0:
            return 0
        depth = thread.depth - 1
        if depth >= 16:
            return 0
        thread.depth = depth
        event = self.events.reserve(Event)
        if event is None:
            return 0
        frame = thread.frames[depth]
        event.record = frame.subject
        event.duration = now - frame.start
        event.thread = me
        event.depth = depth
        event.flags = 0
        if probe_read_user(event.comm, 16, event.record) != 0:
            event.flags = 1
        self.events.submit(event)
        return 0

    @socket_filter
    def checksum(self, ctx: SkBuff) -> int:
        bytes_ = Bytes()
        if skb_load_bytes(ctx, 0, bytes_.data, 20) != 0:
            return 0
        total = 0
        for i in range(20):
            total += bytes_.data[i] * (1 if i & 1 else 256)
        return (total & 0xFFFF) + (total >> 16)

    @uprobe
    def clamp(self, ctx: Registers) -> int:
        key = max(min(ctx.argument(0), ctx.argument(2)), ctx.argument(1)) & 255
        found = self.table.lookup(key)
        if found is None:
            return 0
        return found % 1000

    @uprobe
    def member(self, ctx: Registers) -> int:
        kind = ctx.argument(0) & 0xFF
        size = ctx.argument(1)
        if kind in (4, 19):
            return 1 if 16 < size < 65536 else 2
        if kind in (18, 20, 21):
            return 3
        return 4 if size == 0 or kind == 0 else 0

    @uprobe
    def mix(self, ctx: Registers) -> int:
        a = ctx.argument(0)
        b = ctx.argument(1)
        c = ctx.argument(2)
        d = ctx.argument(3)
        e = ctx.argument(4)
        f = ctx.argument(5)
        a += ktime_get_ns()
        b ^= a
        c -= b
        d = (d << 7) | (d >> 57)
        e *= c
        f = (f & d) + e
        self.table[(a ^ b ^ c ^ d ^ e ^ f) & 255] = a + b * 3 + c * 5 + d * 7 + e * 11 + f * 13
        return 0

"""Whole objects run without privilege: maps and programs as if they were loaded."""

from __future__ import annotations

import struct

import pytest

from pybpf.errors import KernelError
from pybpf.hooks import socket_filter, uprobe, uprobe_session
from pybpf.lang import Constant, Registers, SkBuff, Struct, probe_read_user, session_is_return, swap16, u32, u64
from pybpf.maps import Array, HashMap, LruHashMap, PerCpuArray, PerfEventArray, RingBuffer
from pybpf.object import BpfObject
from pybpf.vm import FaultKind, VmFault, run_in_vm


class Seen(Struct):
    """One packet."""

    number: u64
    protocol: u32
    length: u32


class Packets(BpfObject):
    """Counts packets in maps of every kind."""

    by_protocol = Array(value=u64, max_entries=256)
    by_length = HashMap(key=u32, value=u64, max_entries=4)
    recent = LruHashMap(key=u32, value=u64, max_entries=4)
    per_cpu = PerCpuArray(value=u64, max_entries=2)
    ring = RingBuffer(4096)
    step = Constant(u32, default=1)

    @socket_filter
    def count(self, ctx: SkBuff) -> int:
        """One packet."""
        protocol = ctx.u8(9)
        self.by_protocol[protocol] += self.step
        total = self.by_protocol.lookup(protocol)
        if total is None:
            return 0
        self.by_length.update(ctx.len, total)
        self.recent.update(ctx.len, 1)
        self.per_cpu[0] += 1
        slot = self.ring.reserve(Seen)
        if slot is not None:
            slot.number = total
            slot.protocol = protocol
            slot.length = ctx.len
            self.ring.submit(slot)
        if ctx.protocol == swap16(0x0800):
            return 7
        return 0


class Calls(BpfObject):
    """Looks at the arguments of a function."""

    counts = HashMap(key=u64, value=u64, max_entries=16)
    texts = Array(value=u64, max_entries=1)

    @uprobe
    def entry(self, ctx: Registers) -> int:
        """One call."""
        found = self.counts.lookup(ctx.argument(0))
        if found is None:
            self.counts.update(ctx.argument(0), 1)
        word = self.texts.lookup(0)
        if word is not None:
            return probe_read_user(word, 8, ctx.argument(1))
        return 0


class Sessions(BpfObject):
    """Tells entries from returns."""

    sides = Array(value=u64, max_entries=2)

    @uprobe_session
    def function(self, ctx: Registers) -> int:
        """One end of a call."""
        if session_is_return():
            self.sides[1] += 1
        else:
            self.sides[0] += 1
        return 0


def frame(protocol: int, size: int = 40, ethertype: int = 0x0800) -> bytes:
    """A frame with an IP header of which only the protocol matters."""
    return bytes(12) + ethertype.to_bytes(2, "big") + bytes(9) + bytes([protocol]) + bytes(size - 10)


def test_an_object_runs_without_being_loaded() -> None:
    with run_in_vm(Packets()) as packets:
        assert packets.count(frame(6)) == 7
        assert packets.count(frame(6)) == 7
        assert packets.count(frame(17, ethertype=0x86DD)) == 0
        assert packets.by_protocol[6] == 2
        assert packets.by_protocol[17] == 1
        assert packets.by_protocol.lookup(256) is None
        assert dict(packets.by_length.items()) == {40: 1}
        assert packets.per_cpu.per_cpu(0) == [3, 0]
        assert packets.per_cpu.total(0) == 3
        assert list(packets.ring.read(Seen)) == [
            Seen(number=n, protocol=p, length=40) for n, p in ((1, 6), (2, 6), (1, 17))
        ]
        assert packets.ring.pending() == 0


def test_constants_and_cpus_count() -> None:
    packets = run_in_vm(Packets(step=5), cpus=4)
    packets.count.machine.cpu = 3
    packets.count(frame(6))
    assert packets.by_protocol[6] == 5
    assert packets.per_cpu.per_cpu(0) == [0, 0, 0, 1]


def test_a_full_hash_table_refuses_and_an_lru_forgets() -> None:
    packets = run_in_vm(Packets())
    for size in range(20, 26):
        packets.count(frame(6, size))
    assert sorted(packets.by_length.keys()) == [20, 21, 22, 23]
    assert sorted(packets.recent) == [22, 23, 24, 25]


def test_a_full_ring_drops() -> None:
    packets = run_in_vm(Packets())
    for _ in range(200):
        packets.count(frame(6))
    assert len(packets.ring.records) == 4096 // (16 + 8)
    assert packets.ring.lost == 200 - 4096 // (16 + 8)
    lengths: list[int] = []
    assert packets.ring.consume(lambda view: lengths.append(len(view)), limit=3) == 3
    assert lengths == [16, 16, 16]


def test_packets_too_short_end_the_program() -> None:
    packets = run_in_vm(Packets())
    assert packets.count(bytes(14 + 9)) == 0
    assert not packets.ring.poll()


def test_contexts_of_probes_are_bytes() -> None:
    calls = run_in_vm(Calls())
    calls.entry.machine.foreign.add(0x7F00_0000_1000, b"abcdefgh")
    registers = bytearray(168)
    for place, value in ((112, 5), (104, 0x7F00_0000_1000), (0, 5), (8, 0x7F00_0000_1000)):
        struct.pack_into("=Q", registers, place, value)
    assert calls.entry(registers) == 0
    assert list(calls.counts.items()) == [(5, 1)]
    assert calls.texts[0] == int.from_bytes(b"abcdefgh", "little")
    struct.pack_into("=Q", registers, 104, 0x1000)
    struct.pack_into("=Q", registers, 8, 0x1000)
    assert calls.entry(registers) == -14 & 0xFFFF_FFFF
    assert calls.texts[0] == 0


def test_a_context_too_short_is_a_fault() -> None:
    with pytest.raises(VmFault) as caught:
        run_in_vm(Calls()).entry(bytes(8))
    assert caught.value.kind is FaultKind.OUT_OF_BOUNDS


def test_a_session_program_is_told_at_which_end_it_runs() -> None:
    sessions = run_in_vm(Sessions())
    sessions.function(bytes(168))
    sessions.function.machine.is_return = True
    sessions.function(bytes(168))
    sessions.function(bytes(168))
    assert list(sessions.sides.values()) == [1, 2]


def test_test_run_as_of_a_live_program() -> None:
    packets = run_in_vm(Packets())
    outcome = packets.count.test_run(frame(6), repeat=3)
    assert (outcome.return_value, outcome.data) == (7, frame(6))
    assert packets.by_protocol[6] == 3


def test_maps_from_python() -> None:
    packets = run_in_vm(Packets())
    table = packets.by_length
    table[1] = 10
    table.update(2, 20)
    assert (1 in table, 3 in table, len(table), list(table.values())) == (True, False, 2, [10, 20])
    assert (table.delete(1), table.delete(1), table.lookup(1)) == (True, False, None)
    with pytest.raises(KernelError, match="EEXIST"):
        table.update(2, 0, flags=1)
    with pytest.raises(KernelError, match="ENOENT"):
        table.update(3, 0, flags=2)
    with pytest.raises(KeyError):
        table[9]
    with pytest.raises(KeyError):
        del table[9]
    with pytest.raises(KernelError, match="EINVAL"):
        packets.by_protocol.delete(0)
    with pytest.raises(KernelError, match="E2BIG"):
        packets.by_protocol[256] = 1
    assert list(table.drain()) == [(2, 20)]
    assert list(table) == []
    packets.by_protocol[3] = 4
    packets.by_protocol.clear()
    assert packets.by_protocol[3] == 0
    packets.per_cpu.update(1, [3, 4])
    assert dict(packets.per_cpu.items())[1] == [3, 4]
    with pytest.raises(ValueError, match="1 values for 2 CPUs"):
        packets.per_cpu.update(1, [3])
    with pytest.raises(TypeError):
        run_in_vm(WithStruct()).pairs.total(0)


class WithStruct(BpfObject):
    """Values that are structs, bytes that go to a perf buffer."""

    pairs = Array(value=Seen, max_entries=2)
    events = PerfEventArray()

    @socket_filter
    def run(self, ctx: SkBuff) -> int:
        """Write, read back, output."""
        pair = self.pairs.lookup(1)
        if pair is None:
            return 1
        pair.number = ctx.len
        pair.protocol += 2
        return self.events.output(ctx, pair)


def test_structs_and_perf_buffers() -> None:
    objects = run_in_vm(WithStruct())
    objects.run(frame(6))
    assert objects.run(frame(6)) == 0
    assert objects.pairs[1] == Seen(number=40, protocol=4, length=0)
    assert [record.protocol for record in objects.events.read(Seen)] == [2, 4]


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        run_in_vm(Packets()).nothing  # noqa: B018

"""An object behaves in Python as it does when loaded: results, maps, records."""

from __future__ import annotations

import random
from typing import Any

from pybpf.hooks import socket_filter
from pybpf.lang import SkBuff, Struct, byte_array, skb_load_bytes, swap16, u32, u64
from pybpf.maps import Array, HashMap, PerCpuArray, RingBuffer
from pybpf.object import BpfObject
from pybpf.vm import run_in_vm


class Record(Struct):
    """What goes up."""

    length: u32
    word: bytes = byte_array(4)
    total: u64


class Watcher(BpfObject):
    """Uses packets, helpers and maps of all kinds."""

    by_byte = Array(value=u64, max_entries=256)
    by_word = HashMap(key=u32, value=u64, max_entries=8)
    per_cpu = PerCpuArray(value=u64, max_entries=1)
    ring = RingBuffer(4096)

    @socket_filter
    def watch(self, ctx: SkBuff) -> int:
        """One packet."""
        self.per_cpu[0] += 1
        first = ctx.u8(0)
        self.by_byte[first] += ctx.len
        word = ctx.u16(1)
        found = self.by_word.lookup(word)
        if found is None:
            if self.by_word.update(word, 1) < 0:
                return 100
            found = self.by_word.lookup(word)
            if found is None:
                return 101
        slot = self.ring.reserve(Record)
        if slot is None:
            return 102
        slot.length = ctx.len
        slot.total = found
        if skb_load_bytes(ctx, 3, slot.word, 4) < 0:
            self.ring.discard(slot)
            return 103
        self.ring.submit(slot)
        if ctx.protocol == swap16(0x0800):
            return ctx.len + 1
        return first


def outcome(watcher: Any, frames: list[bytes]) -> tuple[object, ...]:
    """Results and what is in the maps after all of ``frames``."""
    results = [watcher.watch.test_run(frame).return_value for frame in frames]
    return (
        results,
        list(watcher.by_byte.items()),
        sorted(watcher.by_word.items()),
        watcher.per_cpu.total(0),
        list(watcher.ring.read(Record, timeout=0)),
    )


def test_the_same_packets_leave_the_same() -> None:
    numbers = random.Random(3)
    frames = []
    for _ in range(600):
        # The kernel refuses to test IP packets shorter than their header.
        kind, shortest = numbers.choice([(b"\x08\x00", 20), (b"\x88\xb5", 1)])
        frames.append(bytes(12) + kind + bytes(numbers.choices(range(4), k=numbers.randrange(shortest, 30))))
    with Watcher().load() as loaded:
        expected = outcome(loaded, frames)
    with run_in_vm(Watcher()) as simulated:
        assert outcome(simulated, frames) == expected
    results = expected[0]
    assert isinstance(results, list)
    assert {0, 1, 100, 102, 103} < set(results)

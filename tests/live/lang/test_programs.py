"""Compiled programs run in the kernel and do what the same Python does."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpf.hooks.socket_filter import socket_filter
from pybpf.lang import (
    Constant,
    SkBuff,
    Struct,
    array,
    get_smp_processor_id,
    s8,
    s16,
    s32,
    s64,
    skb_load_bytes,
    u8,
    u16,
    u16be,
    u32,
    u32be,
    u64,
    unroll,
)
from pybpf.maps import Array, HashMap, LruHashMap, PerCpuArray, RingBuffer
from pybpf.object import BpfObject
from pybpf.verifier import VerifierError

PACKET = bytes(range(64))
MASK = (1 << 64) - 1


class Pair(Struct):
    left: u32
    right: u32


class Header(Struct):
    command: u16be
    size: u16be
    word: u32be


class Wide(Struct):
    small: s8
    half: s16
    word: s32
    long: s64
    flag: bool
    pairs: list[Pair] = array(Pair, 4)


class Row(Struct):
    index: u32
    tag: u8
    value: u64


def first_set(value: int) -> int:
    for bit in range(64):
        if value >> bit & 1:
            return bit
    return 64


def clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


class Suite(BpfObject):
    out = Array(value=u64, max_entries=64)
    counts = HashMap(key=u32, value=u64, max_entries=64)
    seen = LruHashMap(key=Pair, value=Wide, max_entries=64)
    per_cpu = PerCpuArray(value=u64, max_entries=4)
    rows = RingBuffer(4096)
    factor = Constant(u32, default=3)
    debug = Constant(u32, default=0)

    @socket_filter
    def packet_fields(self, ctx: SkBuff) -> int:
        header = Header()
        if skb_load_bytes(ctx, 14, header, 8) != 0:
            return 0
        self.out[0] = header.command
        self.out[1] = header.size
        self.out[2] = header.word
        self.out[3] = ctx.u8(20)
        self.out[4] = ctx.u16(20)
        self.out[5] = ctx.u32(20)
        self.out[6] = ctx.len
        offset = ctx.u8(2)
        self.out[7] = ctx.u16(offset + 20)
        return 1

    @socket_filter
    def loops(self, ctx: SkBuff) -> int:
        total = 0
        for i in range(ctx.u8(10)):
            if i == 3:
                continue
            if i == 8:
                break
            total += i
        self.out[0] = total
        countdown: s64 = 0
        for i in range(10, 0, -3):
            countdown = countdown * 100 + i
        self.out[1] = countdown
        product = 1
        for factor in unroll((2, 3, 5)):
            product *= factor + ctx.u8(0)
        self.out[2] = product
        n = 0
        while True:
            n += 1
            if n > 5:
                break
        self.out[3] = n
        return 1

    @socket_filter
    def inlined(self, ctx: SkBuff) -> int:
        self.out[0] = first_set(u64(ctx.u8(8)))
        self.out[1] = clamp(ctx.u8(49), 10, 20)
        self.out[2] = clamp(ctx.u8(5), 10, 20)
        self.out[3] = clamp(ctx.u8(15), 10, 20)
        self.out[4] = self.scaled(ctx.u8(7))
        return 1

    def scaled(self, value: int) -> int:
        if self.debug:
            return 0
        return value * self.factor

    @socket_filter
    def booleans(self, ctx: SkBuff) -> int:
        a = ctx.u8(1)
        b = ctx.u8(2)
        self.out[0] = a < b and b < 3
        self.out[1] = a > b or not b
        self.out[2] = 1 if a in (1, 5, 9) else 2
        self.out[3] = 0 < a <= b < 10
        flag = not a
        self.out[4] = flag
        self.out[5] = 7 if a not in (1, 2) else 8
        return 1

    @socket_filter
    def structs(self, ctx: SkBuff) -> int:
        wide = Wide(small=-5, half=-300, word=s32(ctx.u8(1)) - 70000, long=-1, flag=ctx.u8(1) == 1)
        for i in range(4):
            wide.pairs[i & 3].left = u32(i * 10)
            wide.pairs[i & 3].right = u32(i)
        key = Pair(left=1, right=2)
        self.seen.update(key, wide)
        found = self.seen.lookup(Pair(left=1, right=2))
        if found is None:
            return 0
        found.small -= 1
        found.word = found.word + 1 if found.word > 0 else found.word
        found.pairs[2].left += 5
        found.long += 3
        return 1

    @socket_filter
    def counters(self, ctx: SkBuff) -> int:
        self.counts[7] += 2
        self.counts[7] += 40
        self.per_cpu[1] += 5
        missing = self.counts.lookup(8)
        self.out[0] = 1 if missing is None else 0
        there = self.counts.lookup(7)
        if there is None:
            return 0
        self.out[1] = there
        self.counts.delete(7)
        self.out[2] = self.counts.lookup(7) is None
        return get_smp_processor_id() + 1

    @socket_filter
    def ring(self, ctx: SkBuff) -> int:
        for i in range(3):
            word = ctx.u32(i * 4)  # may end the program: not while a record is reserved
            row = self.rows.reserve(Row)
            if row is None:
                return 0
            row.index = i
            row.tag = 0xEE
            row.value = u64(word)
            if i == 1:
                self.rows.discard(row)
            else:
                self.rows.submit(row)
        last = Row(index=9, tag=1)
        self.rows.output(last)
        return 1

    @socket_filter
    def pressure(self, ctx: SkBuff) -> int:
        a = ctx.u8(1)
        b = ctx.u8(2)
        c = ctx.u8(3)
        d = ctx.u8(4)
        e = ctx.u8(5)
        f = ctx.u8(6)
        g = ctx.u8(7)
        h = ctx.u8(8)
        self.counts[1] += a
        self.out[0] = a + b * 10 + c * 100 + d * 1000
        self.counts[2] += h
        self.out[1] = e + f * 10 + g * 100 + h * 1000
        self.out[2] = a - h
        self.out[3] = (a << h) ^ (b << g) ^ (c << f) ^ (d << e)
        return 1


@pytest.fixture(scope="module")
def suite() -> Any:
    with Suite().load() as loaded:
        yield loaded


def outputs(suite: Suite, count: int) -> list[int]:
    return [suite.out[i] for i in range(count)]


def test_packet_fields_in_network_order(suite: Suite) -> None:
    assert suite.packet_fields.test_run(PACKET).return_value == 1
    # socket filters are tested with the Ethernet header pulled: offset 0 is byte 14
    data = PACKET[14:]
    command, size, word = struct.unpack_from(">HHI", data, 14)
    expected = [command, size, word, data[20], *struct.unpack_from(">H", data, 20), *struct.unpack_from(">I", data, 20)]
    expected += [len(data), *struct.unpack_from(">H", data, data[2] + 20)]
    assert outputs(suite, 8) == expected


def test_loops(suite: Suite) -> None:
    suite.loops.test_run(PACKET)
    assert outputs(suite, 4) == [sum(i for i in range(8) if i != 3), 10070401, (2 + 14) * (3 + 14) * (5 + 14), 6]


def test_functions_are_inlined(suite: Suite) -> None:
    suite.inlined.test_run(PACKET)
    assert outputs(suite, 5) == [1, 20, 19, 20, 63]


def test_constants_fold_away() -> None:
    plain = Suite().compile()["inlined"]
    debug = Suite(debug=1).compile()["inlined"]
    assert len(debug.instructions) < len(plain.instructions)
    with pytest.raises(OverflowError, match="u32"):
        Suite(factor=1 << 32)
    with pytest.raises(TypeError, match="no constant colour"):
        Suite(colour=1)


def test_booleans(suite: Suite) -> None:
    suite.booleans.test_run(bytes(14) + bytes([0, 1, 2]) + bytes(47))
    assert outputs(suite, 6) == [1, 0, 1, 1, 0, 8]
    suite.booleans.test_run(bytes(14) + bytes([0, 7, 0]) + bytes(47))
    assert outputs(suite, 6) == [0, 1, 2, 0, 0, 7]


def test_structs_and_signed_fields(suite: Suite) -> None:
    assert suite.structs.test_run(bytes(14) + bytes([0, 1]) + bytes(48)).return_value == 1
    found = suite.seen[Pair(left=1, right=2)]
    assert (found.small, found.half, found.word, found.long, found.flag) == (-6, -300, 1 - 70000, 2, True)
    assert [(p.left, p.right) for p in found.pairs] == [(0, 0), (10, 1), (25, 2), (30, 3)]


def test_counters_begin_missing_elements(suite: Suite) -> None:
    before = suite.per_cpu.total(1)
    cpu = suite.counters.test_run(PACKET).return_value
    assert cpu >= 1
    assert outputs(suite, 3) == [1, 42, 1]
    assert suite.per_cpu.total(1) == before + 5


def test_ring_records(suite: Suite) -> None:
    suite.ring.test_run(PACKET)
    rows = list(suite.rows.read(Row, timeout=0))
    assert [row.index for row in rows] == [0, 2, 9]
    assert rows[0].value == struct.unpack_from(">I", PACKET, 14)[0]
    assert rows[1].tag == 0xEE


def test_spilled_values_survive_calls(suite: Suite) -> None:
    packet = bytes(14) + bytes([0, 1, 2, 3, 4, 5, 6, 7, 8]) + bytes(41)
    suite.pressure.test_run(packet)
    expected = [4321, 8765, (1 - 8) & MASK, (1 << 8) ^ (2 << 7) ^ (3 << 6) ^ (4 << 5)]
    assert outputs(suite, 4) == expected


class OutOfBounds(BpfObject):
    table = Array(value=Wide, max_entries=1)

    @socket_filter
    def overrun(self, ctx: SkBuff) -> int:
        wide = self.table.lookup(0)
        if wide is None:
            return 0
        index = ctx.u8(0)
        return wide.pairs[index].left  # the verifier objects here


def test_a_verifier_rejection_names_the_python_line() -> None:
    with pytest.raises(VerifierError) as caught:
        OutOfBounds().load()
    error = caught.value
    assert error.source is not None
    assert error.source.file == __file__
    assert "the verifier objects here" in error.source.text
    assert "map_value pointer and register with unbounded min value" in error.reason
    assert f'{Path(__file__).name}", line {error.source.line}' in str(error)
    assert error.registers
    assert "index" in error.advice


# -- random expressions give what Python gives modulo 2**64

_NAMES = ("a", "b", "c")


def _expressions() -> st.SearchStrategy[str]:
    leaves = st.one_of(st.sampled_from(_NAMES), st.integers(0, 1 << 64).map(str), st.integers(0, 300).map(str))

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "&", "|", "^"]), inner).map(
            lambda t: f"({' '.join(t)})"
        )
        shift = st.tuples(inner, st.sampled_from(["<<", ">>"]), st.integers(0, 63)).map(
            lambda t: f"(u64({t[0]}) {t[1]} {t[2]})"
        )
        divide = st.tuples(inner, st.sampled_from(["//", "%"]), st.integers(1, 1 << 33)).map(
            lambda t: f"(u64({t[0]}) {t[1]} {t[2]})"
        )
        convert = st.tuples(st.sampled_from(["u8", "u16", "u32", "u64"]), inner).map(lambda t: f"{t[0]}({t[1]})")
        choose = st.tuples(inner, inner, inner, inner).map(
            lambda t: f"(u64({t[0]}) if u64({t[1]}) < u64({t[2]}) else u64({t[3]}))"
        )
        return st.one_of(binary, shift, divide, convert, choose)

    return st.recursive(leaves, grow, max_leaves=12)


_MODULE = """from __future__ import annotations
from pybpf.hooks.socket_filter import socket_filter
from pybpf.lang import *
from pybpf.maps import Array
from pybpf.object import BpfObject

class Program(BpfObject):
    values = Array(value=u64, max_entries=8)

    @socket_filter
    def compute(self, ctx: SkBuff) -> int:
        a = self.values.lookup(0)
        b = self.values.lookup(1)
        c = self.values.lookup(2)
        if a is None or b is None or c is None:
            return 0
        self.values[3] = u64({expression})
        return 1

def reference(a, b, c):
    return u64({expression})
"""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_expressions(), st.lists(st.integers(0, MASK), min_size=3, max_size=3))
def test_expressions_compute_what_python_computes(tmp_path: Path, expression: str, values: list[int]) -> None:
    path = tmp_path / f"program_{abs(hash(expression))}.py"
    path.write_text(_MODULE.format(expression=expression))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
        with module.Program().load() as program:
            for index, value in enumerate(values):
                program.values[index] = value
            assert program.compute.test_run(PACKET).return_value == 1
            assert program.values[3] == module.reference(*values)
    finally:
        del sys.modules[path.stem]


_ = (s8, s16, s32, s64, u8, u16)

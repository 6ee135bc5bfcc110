"""Each constructor gives the bytes that llvm-mc gives, and the text that the kernel's verifier prints."""

from __future__ import annotations

import inspect
from typing import Callable

import pytest

import pybpf.asm.alu
import pybpf.asm.flow
import pybpf.asm.memory
from pybpf import asm
from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R10,
    AluOp,
    AsmError,
    AtomicOp,
    Instruction,
    JumpOp,
    KfuncReference,
    MapReference,
    MapValueReference,
    Size,
)

B, H, W, DW = Size.B, Size.H, Size.W, Size.DW

# Bytes up to clang's -mcpu=v3 are llvm-mc 14's; those of later operations follow RFC 9669 and the kernel's headers.
TABLE = [
    (asm.add(R1, R2), "0f21000000000000", "r1 += r2"),
    (asm.add(R1, -5), "07010000fbffffff", "r1 += -5"),
    (asm.add32(R1, R2), "0c21000000000000", "w1 += w2"),
    (asm.add32(R1, 5), "0401000005000000", "w1 += 5"),
    (asm.sub(R1, R2), "1f21000000000000", "r1 -= r2"),
    (asm.sub32(R1, 1), "1401000001000000", "w1 -= 1"),
    (asm.mul(R1, 3), "2701000003000000", "r1 *= 3"),
    (asm.mul32(R1, R2), "2c21000000000000", "w1 *= w2"),
    (asm.div(R1, R2), "3f21000000000000", "r1 /= r2"),
    (asm.div32(R1, 2), "3401000002000000", "w1 /= 2"),
    (asm.sdiv(R1, R2), "3f21010000000000", "r1 s/= r2"),
    (asm.sdiv32(R1, 2), "3401010002000000", "w1 s/= 2"),
    (asm.mod(R1, 7), "9701000007000000", "r1 %= 7"),
    (asm.mod32(R1, R2), "9c21000000000000", "w1 %= w2"),
    (asm.smod(R1, 7), "9701010007000000", "r1 s%= 7"),
    (asm.smod32(R1, R2), "9c21010000000000", "w1 s%= w2"),
    (asm.or_(R1, R2), "4f21000000000000", "r1 |= r2"),
    (asm.or32(R1, 1), "4401000001000000", "w1 |= 1"),
    (asm.and_(R1, 15), "570100000f000000", "r1 &= 15"),
    (asm.and32(R1, R2), "5c21000000000000", "w1 &= w2"),
    (asm.xor(R1, R2), "af21000000000000", "r1 ^= r2"),
    (asm.xor32(R1, 1), "a401000001000000", "w1 ^= 1"),
    (asm.lsh(R1, 3), "6701000003000000", "r1 <<= 3"),
    (asm.lsh32(R1, R2), "6c21000000000000", "w1 <<= w2"),
    (asm.rsh(R1, R2), "7f21000000000000", "r1 >>= r2"),
    (asm.rsh32(R1, 3), "7401000003000000", "w1 >>= 3"),
    (asm.arsh(R1, 2), "c701000002000000", "r1 s>>= 2"),
    (asm.arsh32(R1, R2), "cc21000000000000", "w1 s>>= w2"),
    (asm.neg(R1), "8701000000000000", "r1 = -r1"),
    (asm.neg32(R1), "8401000000000000", "w1 = -w1"),
    (asm.mov(R1, R2), "bf21000000000000", "r1 = r2"),
    (asm.mov(R1, 5), "b701000005000000", "r1 = 5"),
    (asm.mov32(R1, R2), "bc21000000000000", "w1 = w2"),
    (asm.mov32(R1, -1), "b4010000ffffffff", "w1 = -1"),
    (asm.mov32(R1, 0xFFFF_FFFF), "b4010000ffffffff", "w1 = -1"),
    (asm.movsx(R1, R2, 8), "bf21080000000000", "r1 = (s8)r2"),
    (asm.movsx(R1, R2, 16), "bf21100000000000", "r1 = (s16)r2"),
    (asm.movsx(R1, R2, 32), "bf21200000000000", "r1 = (s32)r2"),
    (asm.movsx32(R1, R2, 8), "bc21080000000000", "w1 = (s8)w2"),
    (asm.alu(AluOp.SUB, R1, R2, bits=32), "1c21000000000000", "w1 -= w2"),
    (asm.addr_space_cast(R1, R2, 0, 1), "bf21010001000000", "r1 = addr_space_cast(r2, 0, 1)"),
    (asm.to_le(R1, 16), "d401000010000000", "r1 = le16 r1"),
    (asm.to_le(R1, 64), "d401000040000000", "r1 = le64 r1"),
    (asm.to_be(R1, 16), "dc01000010000000", "r1 = be16 r1"),
    (asm.to_be(R1, 32), "dc01000020000000", "r1 = be32 r1"),
    (asm.bswap(R1, 64), "d701000040000000", "r1 = bswap64 r1"),
    (asm.load(B, R1, R2, 1), "7121010000000000", "r1 = *(u8 *)(r2 +1)"),
    (asm.load(H, R1, R2, 2), "6921020000000000", "r1 = *(u16 *)(r2 +2)"),
    (asm.load(W, R1, R2, -4), "6121fcff00000000", "r1 = *(u32 *)(r2 -4)"),
    (asm.load(DW, R1, R2), "7921000000000000", "r1 = *(u64 *)(r2 +0)"),
    (asm.loadsx(W, R1, R2, 8), "8121080000000000", "r1 = *(s32 *)(r2 +8)"),
    (asm.loadsx(B, R1, R2, 8), "9121080000000000", "r1 = *(s8 *)(r2 +8)"),
    (asm.store(B, R10, -1, R3), "733affff00000000", "*(u8 *)(r10 -1) = r3"),
    (asm.store(DW, R10, -8, R3), "7b3af8ff00000000", "*(u64 *)(r10 -8) = r3"),
    (asm.store(W, R10, -4, 0xFFFF_FFFF), "620afcffffffffff", "*(u32 *)(r10 -4) = -1"),
    (asm.store(DW, R10, -8, -1), "7a0af8ffffffffff", "*(u64 *)(r10 -8) = -1"),
    (asm.load_imm64(R1, -1), "18010000ffffffff00000000ffffffff", "r1 = 0xffffffffffffffff"),
    (asm.load_imm64(R1, 1 << 32), "18010000000000000000000001000000", "r1 = 0x100000000"),
    (asm.load_map_fd(R1, 5), "18110000050000000000000000000000", "r1 = map[fd:5]"),
    (asm.load_btf_id(R1, 77), "183100004d0000000000000000000000", "r1 = btf[77]"),
    (asm.ld_abs(B, 14), "300000000e000000", "r0 = *(u8 *)skb[14]"),
    (asm.ld_ind(H, R1), "4810000000000000", "r0 = *(u16 *)skb[r1 + 0]"),
    (asm.atomic(AtomicOp.ADD, W, R1, 4, R2), "c321040000000000", "lock *(u32 *)(r1 +4) += r2"),
    (asm.atomic(AtomicOp.OR, DW, R1, 8, R2), "db21080040000000", "lock *(u64 *)(r1 +8) |= r2"),
    (
        asm.atomic(AtomicOp.ADD, DW, R1, 8, R2, fetch=True),
        "db21080001000000",
        "r2 = atomic64_fetch_add((u64 *)(r1 +8), r2)",
    ),
    (
        asm.atomic(AtomicOp.AND, W, R1, 8, R2, fetch=True),
        "c321080051000000",
        "r2 = atomic_fetch_and((u32 *)(r1 +8), r2)",
    ),
    (asm.xchg(DW, R1, 8, R2), "db210800e1000000", "r2 = atomic64_xchg((u64 *)(r1 +8), r2)"),
    (asm.cmpxchg(W, R1, 8, R2), "c3210800f1000000", "r0 = atomic_cmpxchg((u32 *)(r1 +8), r0, r2)"),
    (asm.load_acquire(B, R1, R2, 8), "d321080000010000", "r1 = load_acquire((u8 *)(r2 +8))"),
    (asm.store_release(DW, R1, 8, R2), "db21080010010000", "store_release((u64 *)(r1 +8), r2)"),
    (asm.jump(5), "0500050000000000", "goto pc+5"),
    (asm.jump_long(-70000), "0600000090eefeff", "gotol pc-70000"),
    (asm.jump_register(R1), "0d01000000000000", "gotox r1"),
    (asm.jump_if(JumpOp.EQ, R1, R2, 1), "1d21010000000000", "if r1 == r2 goto pc+1"),
    (asm.jump_if(JumpOp.EQ, R1, 5, 1), "1501010005000000", "if r1 == 0x5 goto pc+1"),
    (asm.jump_if(JumpOp.GT, R1, 5, 1), "2501010005000000", "if r1 > 0x5 goto pc+1"),
    (asm.jump_if(JumpOp.GE, R1, R2, 1), "3d21010000000000", "if r1 >= r2 goto pc+1"),
    (asm.jump_if(JumpOp.SET, R1, 4, 1), "4501010004000000", "if r1 & 0x4 goto pc+1"),
    (asm.jump_if(JumpOp.NE, R1, 0, -3), "5501fdff00000000", "if r1 != 0x0 goto pc-3"),
    (asm.jump_if(JumpOp.SGT, R1, 5, 1), "6501010005000000", "if r1 s> 0x5 goto pc+1"),
    (asm.jump_if(JumpOp.SGE, R1, 5, 1), "7501010005000000", "if r1 s>= 0x5 goto pc+1"),
    (asm.jump_if(JumpOp.LT, R1, R2, 1), "ad21010000000000", "if r1 < r2 goto pc+1"),
    (asm.jump_if(JumpOp.LE, R1, 5, 1), "b501010005000000", "if r1 <= 0x5 goto pc+1"),
    (asm.jump_if(JumpOp.SLT, R1, R2, 1), "cd21010000000000", "if r1 s< r2 goto pc+1"),
    (asm.jump_if(JumpOp.SLE, R1, -2, 1, bits=32), "d6010100feffffff", "if w1 s<= 0xfffffffe goto pc+1"),
    (asm.jump_if(JumpOp.EQ, R1, R2, 1, bits=32), "1e21010000000000", "if w1 == w2 goto pc+1"),
    (asm.may_goto(2), "e500020000000000", "may_goto pc+2"),
    (asm.call(1), "8500000001000000", "call bpf_map_lookup_elem#1"),
    (asm.call(9999), "850000000f270000", "call unknown#9999"),
    (asm.call_register(R1), "8d01000000000000", "callx r1"),
    (asm.exit_(), "9500000000000000", "exit"),
]

UNRESOLVED = [
    (asm.load_map(R1, "calls"), MapReference("calls"), "r1 = map[calls]"),
    (asm.load_map_value(R1, "state", 8), MapValueReference("state", 8), "r1 = map[state][0]+8"),
    (asm.call_kfunc("bpf_session_cookie"), KfuncReference("bpf_session_cookie"), "call bpf_session_cookie"),
    (asm.load_function(R1, "each"), None, "r1 = subprog[each]"),
    (asm.call_function("each"), None, "call each"),
    (asm.jump("out"), None, "goto out"),
    (asm.jump_long("out"), None, "gotol out"),
    (asm.may_goto("out"), None, "may_goto out"),
    (asm.jump_if(JumpOp.EQ, R1, 0, "out"), None, "if r1 == 0x0 goto out"),
]


@pytest.mark.parametrize(("ins", "code", "text"), TABLE, ids=[text for _, _, text in TABLE])
def test_bytes_and_text(ins: Instruction, code: str, text: str) -> None:
    assert asm.encode([ins], byteorder="little").hex() == code
    assert str(ins) == text


@pytest.mark.parametrize(("ins", "reference", "text"), UNRESOLVED, ids=[text for _, _, text in UNRESOLVED])
def test_names_stay_names_until_they_are_resolved(ins: Instruction, reference: object, text: str) -> None:
    assert ins.reference == reference
    assert (ins.target is None) == (reference is not None)
    assert str(ins) == text


def test_the_tables_cover_every_constructor() -> None:
    constructors = {
        name
        for module in (pybpf.asm.alu, pybpf.asm.memory, pybpf.asm.flow)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    source = inspect.getsource(inspect.getmodule(test_bytes_and_text))  # type: ignore[arg-type]
    assert {name for name in constructors if f"asm.{name}(" not in source} == set()


@pytest.mark.parametrize(
    "make",
    [
        lambda: asm.mov(R1, 0xFFFF_FFFF),
        lambda: asm.mov32(R1, 1 << 32),
        lambda: asm.alu(AluOp.ADD, R1, 1, bits=16),
        lambda: asm.alu(AluOp.NEG, R1, 1),
        lambda: asm.alu(AluOp.MOVSX8, R1, 1),
        lambda: asm.movsx(R1, R2, 64),
        lambda: asm.movsx32(R1, R2, 32),
        lambda: asm.to_be(R1, 8),
        lambda: asm.neg(R1, bits=16),
        lambda: asm.load(DW, R1, R2, 0x8000),
        lambda: asm.loadsx(DW, R1, R2),
        lambda: asm.store(DW, R10, -8, 0xFFFF_FFFF),
        lambda: asm.store(W, R10, -8, 1 << 32),
        lambda: asm.load_imm64(R1, 1 << 64),
        lambda: asm.ld_abs(DW, 0),
        lambda: asm.atomic(AtomicOp.ADD, B, R1, 0, R2),
        lambda: asm.jump(1 << 15),
        lambda: asm.jump_if(JumpOp.CALL, R1, 0, "x"),
        lambda: asm.jump_if(JumpOp.EQ, R1, 1 << 31, "x"),
        lambda: asm.jump_if(JumpOp.EQ, R1, 0, "x", bits=8),
    ],
)
def test_operands_that_do_not_exist_are_refused_at_once(make: object) -> None:
    with pytest.raises(AsmError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.index is None


@pytest.mark.parametrize("op", [op for op in JumpOp if op.is_comparison])
def test_inverse_and_swapped_comparisons_mean_what_they_say(op: JumpOp) -> None:
    meaning: dict[JumpOp, Callable[[int, int], bool]] = {
        JumpOp.EQ: lambda a, b: a == b,
        JumpOp.NE: lambda a, b: a != b,
        JumpOp.SET: lambda a, b: bool(a & b),
        JumpOp.GT: lambda a, b: a % 2**64 > b % 2**64,
        JumpOp.GE: lambda a, b: a % 2**64 >= b % 2**64,
        JumpOp.LT: lambda a, b: a % 2**64 < b % 2**64,
        JumpOp.LE: lambda a, b: a % 2**64 <= b % 2**64,
        JumpOp.SGT: lambda a, b: a > b,
        JumpOp.SGE: lambda a, b: a >= b,
        JumpOp.SLT: lambda a, b: a < b,
        JumpOp.SLE: lambda a, b: a <= b,
    }
    pairs = [(a, b) for a in (-2, -1, 0, 1, 2) for b in (-2, -1, 0, 1, 2)]
    assert op.swapped is not None
    assert all(meaning[op](a, b) == meaning[op.swapped](b, a) for a, b in pairs)
    if op is JumpOp.SET:
        assert op.inverse is None
    else:
        assert op.inverse is not None
        assert all(meaning[op](a, b) != meaning[op.inverse](a, b) for a, b in pairs)


def test_equality_looks_at_what_is_executed_only() -> None:
    line = asm.SourceLine("trace.py", 3, 5, "x = 1")
    assert asm.mov(R0, 1).labelled("a").at(line) == asm.mov(R0, 1)
    assert hash(asm.mov(R0, 1).labelled("a")) == hash(asm.mov(R0, 1))
    assert asm.mov(R0, 1) != asm.mov(R0, 2)
    assert asm.load_map(R0, "a") != asm.load_map(R0, "b")
    assert asm.jump("a") != asm.jump("b")
    assert asm.mov(R0, 1).labelled("a", "b").labels == ("a", "b")
    assert asm.mov(R0, 1).at(line).source is line


def test_sizes_know_their_bytes() -> None:
    assert [size.bytes for size in (B, H, W, DW)] == [1, 2, 4, 8]
    assert [Size.of(count) for count in (1, 2, 4, 8)] == [B, H, W, DW]
    with pytest.raises(ValueError, match="not 3"):
        Size.of(3)

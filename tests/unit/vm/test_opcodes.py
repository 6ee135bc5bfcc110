"""Every operation of the instruction set does what RFC 9669 says, and none is left out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R10,
    AluOp,
    AtomicOp,
    Instruction,
    JumpOp,
    OpCode,
    Size,
    addr_space_cast,
    alu,
    atomic,
    bswap,
    call,
    call_function,
    call_register,
    encode,
    exit_,
    jump,
    jump_if,
    jump_long,
    jump_register,
    ld_abs,
    ld_ind,
    load,
    load_acquire,
    load_function,
    load_imm64,
    loadsx,
    may_goto,
    mov,
    movsx,
    movsx32,
    neg,
    store,
    store_release,
    to_be,
    to_le,
)
from pybpf.asm.isa import forms
from pybpf.vm import FaultKind, Machine, VmFault, run
from pybpf.vm.packet import socket_packet

little = pytest.mark.skipif(sys.byteorder != "little", reason="the table is written for little-endian hosts")


@dataclass(frozen=True)
class Case:
    """A program that gives ``result``."""

    name: str
    program: tuple[Instruction, ...]
    result: int

    def __str__(self) -> str:
        return self.name


TOP = 0x8000_0000_0000_0000
ONES = 0xFFFF_FFFF_FFFF_FFFF

# operation, operands, results with 64 and with 32 bits
ARITHMETIC = [
    (AluOp.ADD, 0xFFFF_FFFF, 1, 0x1_0000_0000, 0),
    (AluOp.ADD, ONES, -1, 0xFFFF_FFFF_FFFF_FFFE, 0xFFFF_FFFE),
    (AluOp.SUB, 0, 1, ONES, 0xFFFF_FFFF),
    (AluOp.SUB, 0x5_0000_0003, 4, 0x4_FFFF_FFFF, 0xFFFF_FFFF),
    (AluOp.MUL, 0x1_0000_0001, 3, 0x3_0000_0003, 3),
    (AluOp.MUL, ONES, ONES, 1, 1),
    (AluOp.DIV, 0x1_0000_0007, 2, 0x8000_0003, 3),
    (AluOp.DIV, 7, 0, 0, 0),
    (AluOp.DIV, ONES, -1, 1, 1),
    (AluOp.MOD, 0x1_0000_0007, 4, 3, 3),
    (AluOp.MOD, 0x1_0000_0007, 0, 0x1_0000_0007, 7),
    (AluOp.MOD, 7, -1, 7, 7),
    (AluOp.OR, 0x1_0000_00F0, 0x0F, 0x1_0000_00FF, 0xFF),
    (AluOp.OR, 0, -2, 0xFFFF_FFFF_FFFF_FFFE, 0xFFFF_FFFE),
    (AluOp.AND, 0xFFFF_0000_FFFF_00FF, 0x0F0F, 0x0F, 0x0F),
    (AluOp.AND, ONES, -16, 0xFFFF_FFFF_FFFF_FFF0, 0xFFFF_FFF0),
    (AluOp.XOR, 0x1_0000_00FF, 0x0F, 0x1_0000_00F0, 0xF0),
    (AluOp.LSH, 0x8000_0001, 1, 0x1_0000_0002, 2),
    (AluOp.LSH, 1, 33, 0x2_0000_0000, 2),
    (AluOp.RSH, TOP, 1, TOP >> 1, 0),
    (AluOp.RSH, 0x8000_0000, 33, 0, 0x4000_0000),
    (AluOp.ARSH, TOP, 4, 0xF800_0000_0000_0000, 0),
    (AluOp.ARSH, 0x8000_0000, 4, 0x0800_0000, 0xF800_0000),
    (AluOp.ARSH, 0x8000_0000, 36, 0, 0xF800_0000),
    (AluOp.MOV, 7, -2, 0xFFFF_FFFF_FFFF_FFFE, 0xFFFF_FFFE),
    (AluOp.SDIV, -7 & ONES, 2, -3 & ONES, -3 & 0xFFFF_FFFF),
    (AluOp.SDIV, 7, -2, -3 & ONES, -3 & 0xFFFF_FFFF),
    (AluOp.SDIV, 7, 0, 0, 0),
    (AluOp.SDIV, TOP, -1, TOP, 0),
    (AluOp.SDIV, 0x8000_0000, -1, -0x8000_0000 & ONES, 0x8000_0000),
    (AluOp.SMOD, -7 & ONES, 2, ONES, 0xFFFF_FFFF),
    (AluOp.SMOD, 7, -2, 1, 1),
    (AluOp.SMOD, TOP, -1, 0, 0),
    (AluOp.SMOD, -7 & ONES, 0, -7 & ONES, -7 & 0xFFFF_FFFF),
]

# comparison, operands, whether it holds on 64 and on 32 bits
COMPARISONS = [
    (JumpOp.EQ, 0x1_0000_0005, 5, False, True),
    (JumpOp.EQ, ONES, -1, True, True),
    (JumpOp.NE, 0x1_0000_0005, 5, True, False),
    (JumpOp.GT, ONES, 1, True, True),
    (JumpOp.GT, 0x1_0000_0000, 1, True, False),
    (JumpOp.GE, 5, 5, True, True),
    (JumpOp.GE, 4, -1, False, False),
    (JumpOp.LT, 4, 5, True, True),
    (JumpOp.LT, 0x1_0000_0000, 5, False, True),
    (JumpOp.LE, 5, 5, True, True),
    (JumpOp.LE, ONES, 5, False, False),
    (JumpOp.SET, 0xF0_0000_000F, 0x10, False, False),
    (JumpOp.SET, 0x1F, 0x10, True, True),
    (JumpOp.SET, TOP, -0x8000_0000, True, False),
    (JumpOp.SGT, ONES, -2, True, True),
    (JumpOp.SGT, 0x8000_0000, 0, True, False),
    (JumpOp.SGE, -5 & ONES, -5, True, True),
    (JumpOp.SGE, TOP, 0, False, True),
    (JumpOp.SLT, -6 & ONES, -5, True, True),
    (JumpOp.SLT, 0x8000_0000, 0, False, True),
    (JumpOp.SLE, 5, 5, True, True),
    (JumpOp.SLE, 0, TOP, False, True),
]

# operation, memory and operand before, memory and source register after, of 64 bits
ATOMICS = [
    (AtomicOp.ADD, 0xFFFF_FFFF, 2, 0x1_0000_0001, 2),
    (AtomicOp.OR, 0xF0, 0x0F, 0xFF, 0x0F),
    (AtomicOp.AND, 0xFC, 0x0F, 0x0C, 0x0F),
    (AtomicOp.XOR, 0xFF, 0x0F, 0xF0, 0x0F),
    (AtomicOp.FETCH_ADD, 0xFFFF_FFFF, 2, 0x1_0000_0001, 0xFFFF_FFFF),
    (AtomicOp.FETCH_OR, 0xF0, 0x0F, 0xFF, 0xF0),
    (AtomicOp.FETCH_AND, 0xFC, 0x0F, 0x0C, 0xFC),
    (AtomicOp.FETCH_XOR, 0xFF, 0x0F, 0xF0, 0xFF),
    (AtomicOp.XCHG, 1, ONES, ONES, 1),
]
PATTERN = 0x8182_8384_8586_8788


def arithmetic() -> Iterator[Case]:
    for op, a, b, wide, narrow in ARITHMETIC:
        for bits, result in ((64, wide), (32, narrow)):
            name = f"{op.name}{bits} {a:#x} {b:#x}"
            start = (load_imm64(R0, a), load_imm64(R2, b))
            yield Case(f"{name} register", (*start, alu(op, R0, R2, bits=bits), exit_()), result)
            if -(1 << 31) <= b < 1 << 31:
                yield Case(f"{name} immediate", (*start, alu(op, R0, b, bits=bits), exit_()), result)
    yield Case("NEG64", (mov(R0, 1), neg(R0), exit_()), ONES)
    yield Case("NEG64 lowest", (load_imm64(R0, TOP), neg(R0), exit_()), TOP)
    yield Case("NEG32", (load_imm64(R0, 0x7_0000_0001), neg(R0, bits=32), exit_()), 0xFFFF_FFFF)
    start = load_imm64(R2, PATTERN)
    for bits, result in ((8, -0x78), (16, -0x7878), (32, -0x7A79_7878)):
        yield Case(f"MOVSX{bits}", (start, movsx(R0, R2, bits), exit_()), result & ONES)
        if bits < 32:
            yield Case(f"MOVSX{bits} to 32", (start, movsx32(R0, R2, bits), exit_()), result & 0xFFFF_FFFF)
    swapped = {16: 0x8887, 32: 0x8887_8685, 64: 0x8887_8685_8483_8281}
    for bits, result in swapped.items():
        for swap, wanted in ((to_le, PATTERN & (1 << bits) - 1), (to_be, result), (bswap, result)):
            yield Case(f"{swap.__name__}{bits}", (load_imm64(R0, PATTERN), swap(R0, bits), exit_()), wanted)


def comparisons() -> Iterator[Case]:
    for op, a, b, wide, narrow in COMPARISONS:
        for bits, holds in ((64, wide), (32, narrow)):
            name = f"{op.name}{bits} {a:#x} {b:#x}"
            start = (load_imm64(R1, a), load_imm64(R2, b), mov(R0, 1))
            end = (mov(R0, 0), exit_().labelled("out"))
            yield Case(f"{name} register", (*start, jump_if(op, R1, R2, "out", bits=bits), *end), holds)
            if -(1 << 31) <= b < 1 << 31:
                yield Case(f"{name} immediate", (*start, jump_if(op, R1, b, "out", bits=bits), *end), holds)


def accesses() -> Iterator[Case]:
    whole = (load_imm64(R1, PATTERN), store(Size.DW, R10, -8, R1))
    for size in Size:
        bits = 8 * size.bytes
        mask = (1 << bits) - 1
        kept = PATTERN & ~mask
        low = PATTERN & mask
        back = (load(Size.DW, R0, R10, -8), exit_())
        yield Case(f"load {size.name}", (*whole, load(size, R0, R10, -8), exit_()), low)
        yield Case(f"load_acquire {size.name}", (*whole, load_acquire(size, R0, R10, -8), exit_()), low)
        yield Case(f"store {size.name}", (*whole, mov(R2, -2), store(size, R10, -8, R2), *back), kept | mask - 1)
        yield Case(
            f"release {size.name}", (*whole, mov(R2, -2), store_release(size, R10, -8, R2), *back), kept | mask - 1
        )
        yield Case(f"store {size.name} immediate", (*whole, store(size, R10, -8, -3), *back), kept | mask - 2)
        if size is not Size.DW:
            result = low - (1 << bits) & ONES
            yield Case(f"loadsx {size.name}", (*whole, loadsx(size, R0, R10, -8), exit_()), result)


def atomics() -> Iterator[Case]:
    for size, mask in ((Size.DW, ONES), (Size.W, 0xFFFF_FFFF)):
        for op, before, operand, after, source in ATOMICS:
            start = (load_imm64(R1, before), store(Size.DW, R10, -8, R1), load_imm64(R2, operand))
            program = (*start, atomic(op, size, R10, -8, R2))
            upper = before & ~mask
            name = f"{op.name} {size.name}"
            yield Case(f"{name} memory", (*program, load(Size.DW, R0, R10, -8), exit_()), after & mask | upper)
            yield Case(f"{name} register", (*program, mov(R0, R2), exit_()), source & mask if op & 1 else source)
        for expected, stored in ((5, 9), (6, 5)):
            start = (mov(R1, 5), store(Size.DW, R10, -8, R1), mov(R2, 9), mov(R0, expected))
            program = (*start, atomic(AtomicOp.CMPXCHG, size, R10, -8, R2))
            yield Case(f"CMPXCHG {size.name} r0 {expected}", (*program, exit_()), 5)
            back = (load(Size.DW, R0, R10, -8), exit_())
            yield Case(f"CMPXCHG {size.name} memory {expected}", (*program, *back), stored)
    start = (mov(R1, 5), store(Size.DW, R10, -8, R1), mov(R2, 9), load_imm64(R0, 0x7_0000_0005))
    back = (load(Size.DW, R0, R10, -8), exit_())
    yield Case("CMPXCHG W compares 32", (*start, atomic(AtomicOp.CMPXCHG, Size.W, R10, -8, R2), *back), 9)
    yield Case("CMPXCHG DW compares 64", (*start, atomic(AtomicOp.CMPXCHG, Size.DW, R10, -8, R2), *back), 5)


def flow() -> Iterator[Case]:
    yield Case("goto", (mov(R0, 1), jump("out"), mov(R0, 2), exit_().labelled("out")), 1)
    yield Case("goto +0", (mov(R0, 1), jump(0), exit_()), 1)
    yield Case("gotol", (mov(R0, 1), jump_long("out"), mov(R0, 2), exit_().labelled("out")), 1)
    inner = (mov(R0, R1).labelled("twice"), alu(AluOp.ADD, R0, R1), mov(R6, 99), exit_())
    yield Case("call", (mov(R6, 2), mov(R1, 20), call_function("twice"), alu(AluOp.ADD, R0, R6), exit_(), *inner), 42)
    start = (mov(R1, 21), load_function(R5, "twice"), call_register(R5), exit_())
    yield Case("callx", (*start, *inner), 42)
    yield Case("callx helper", (mov(R3, 8), call_register(R3), exit_()), 0)
    yield Case(
        "gotox", (mov(R0, 1), load_function(R5, "out"), jump_register(R5), mov(R0, 2), exit_().labelled("out")), 1
    )
    yield Case("helper", (call(8), exit_()), 0)
    counted = (mov(R0, 0), may_goto("out").labelled("again"), alu(AluOp.ADD, R0, 1), jump("again"))
    yield Case("may_goto", (*counted, exit_().labelled("out")), 1000)
    yield Case("barrier", (mov(R0, 3), Instruction(OpCode(0xC2)), exit_()), 3)


def packets() -> Iterator[Case]:
    start = (mov(R6, R1), mov(R4, 2))
    for size, absolute, indirect in ((Size.B, 1, 3), (Size.H, 0x0102, 0x0304), (Size.W, 0x0102_0304, 0x0304_0506)):
        yield Case(f"ld_abs {size.name}", (*start, ld_abs(size, 1), exit_()), absolute)
        yield Case(f"ld_ind {size.name}", (*start, ld_ind(size, R4, 1), exit_()), indirect)
        yield Case(f"ld_abs {size.name} outside", (*start, mov(R0, 7), ld_abs(size, 64), mov(R0, 8), exit_()), 0)
    yield Case("ld_abs network", (*start, ld_abs(Size.B, -0x10_0000 + 2), exit_()), 2)
    yield Case("ld_abs link layer", (*start, ld_abs(Size.B, -0x20_0000 + 15), exit_()), 1)
    yield Case("ld_abs ancillary", (*start, ld_abs(Size.B, -0x1000), mov(R0, 8), exit_()), 0)


CASES = [*arithmetic(), *comparisons(), *accesses(), *atomics(), *flow(), *packets()]
FRAME = bytes(14) + bytes(range(64))
ONLY_IN_THE_KERNEL = (addr_space_cast(R0, R1, 0, 1), Instruction(OpCode(0xFFFF_BF), R0, R1))


@little
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gives(case: Case) -> None:
    machine = Machine(case.program, may_goto_budget=1000)
    packet = socket_packet(machine.memory, FRAME)
    assert machine.run(packet.context.address, packet=packet) == case.result


@little
@pytest.mark.parametrize(
    "case", [case for case in CASES if "ld_" not in case.name and case.name != "may_goto"], ids=str
)
def test_gives_the_same_from_bytes(case: Case) -> None:
    machine = Machine(case.program)
    assert run(encode(machine.instructions)) == case.result


@pytest.mark.parametrize("ins", ONLY_IN_THE_KERNEL, ids=str)
def test_what_only_the_kernel_can_do_is_a_fault(ins: Instruction) -> None:
    with pytest.raises(VmFault) as caught:
        run([ins, exit_()], bytes(8))
    assert caught.value.kind is FaultKind.UNKNOWN_OPCODE


def test_every_operation_is_in_the_table() -> None:
    seen = {ins.opcode for case in CASES for ins in case.program} | {ins.opcode for ins in ONLY_IN_THE_KERNEL}
    assert set(forms()) - seen == set()

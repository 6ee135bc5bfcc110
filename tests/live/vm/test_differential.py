"""Programs that the verifier accepts give the same in Python as in the kernel."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    AluOp,
    AtomicOp,
    Instruction,
    JumpOp,
    Register,
    Size,
    add,
    alu,
    assemble,
    atomic,
    bswap,
    call,
    call_function,
    cmpxchg,
    encode,
    exit_,
    jump,
    jump_if,
    load,
    load_acquire,
    load_imm64,
    loadsx,
    mov,
    mov32,
    movsx,
    movsx32,
    mul,
    neg,
    store,
    store_release,
    to_be,
    to_le,
    xchg,
    xor,
)
from pybpf.errors import KernelError, ProgramRejected
from pybpf.vm import VmFault, run
from pybpf.vm.kernel_run import run_in_kernel

MEMORY_SIZE = 64
STACK_WORDS = 4
SCALARS = (R0, R1, R2, R3, R4, R5, R7, R8, R9)
"""r6 keeps the address of the memory."""

registers = st.sampled_from(SCALARS)
numbers = st.one_of(
    st.integers(-(1 << 31), (1 << 31) - 1), st.sampled_from([0, 1, -1, 2, 31, 32, 63, -(1 << 31), (1 << 31) - 1])
)
wide_numbers = st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from([1 << 63, (1 << 64) - 1, 1 << 31, 1 << 32]))
widths = st.sampled_from([32, 64])
sizes = st.sampled_from(list(Size))
narrow_sizes = st.sampled_from([Size.B, Size.H, Size.W])
PLAIN = [
    op for op in AluOp if op & 0xF0 not in (AluOp.NEG, AluOp.END) and (op < 0x100 or op in (AluOp.SDIV, AluOp.SMOD))
]
DIVISIONS = (AluOp.DIV, AluOp.MOD, AluOp.SDIV, AluOp.SMOD)
SHIFTS = (AluOp.LSH, AluOp.RSH, AluOp.ARSH)


@dataclass(frozen=True)
class Branch:
    """A forward jump over ``distance`` steps or to the end; always conditional, as the verifier refuses dead code."""

    op: JumpOp
    dst: Register
    operand: Register | int
    bits: int
    distance: int


def _with_constant(op: AluOp, dst: Register, value: int, bits: int) -> Instruction:
    # What the verifier refuses as an immediate: division by zero, shifts by more than the width.
    if op in DIVISIONS and value == 0:
        value = 3
    if op in SHIFTS:
        value %= bits
    return alu(op, dst, value, bits=bits)


def _slot(size: Size, place: int) -> int:
    return -8 * STACK_WORDS + place * size.bytes % (8 * STACK_WORDS)


def _inside(size: Size, place: int) -> int:
    return place % (MEMORY_SIZE - size.bytes + 1)


places = st.integers(0, 63)
atomic_sizes = st.sampled_from([Size.W, Size.DW])
arithmetic_steps = st.one_of(
    st.builds(lambda op, d, s, bits: alu(op, d, s, bits=bits), st.sampled_from(PLAIN), registers, registers, widths),
    st.builds(_with_constant, st.sampled_from(PLAIN), registers, numbers, widths),
    st.builds(load_imm64, registers, wide_numbers),
    st.builds(lambda d, bits: neg(d, bits=bits), registers, widths),
    st.builds(movsx, registers, registers, st.sampled_from([8, 16, 32])),
    st.builds(movsx32, registers, registers, st.sampled_from([8, 16])),
    st.builds(
        lambda swap, d, bits: swap(d, bits),
        st.sampled_from([bswap, to_be, to_le]),
        registers,
        st.sampled_from([16, 32, 64]),
    ),
)
memory_steps = st.one_of(
    st.builds(lambda z, d, p: load(z, d, R10, _slot(z, p)), sizes, registers, places),
    st.builds(lambda z, d, p: load(z, d, R6, _inside(z, p)), sizes, registers, places),
    st.builds(lambda z, d, p: loadsx(z, d, R10, _slot(z, p)), narrow_sizes, registers, places),
    st.builds(lambda z, d, p: loadsx(z, d, R6, _inside(z, p)), narrow_sizes, registers, places),
    st.builds(lambda z, s, p: store(z, R10, _slot(z, p), s), sizes, registers, places),
    st.builds(lambda z, s, p: store(z, R6, _inside(z, p), s), sizes, registers, places),
    st.builds(lambda z, v, p: store(z, R10, _slot(z, p), v), sizes, numbers, places),
    st.builds(lambda z, v, p: store(z, R6, _inside(z, p), v), sizes, numbers, places),
)
atomic_steps = st.one_of(
    st.builds(
        lambda op, z, s, p, fetch: atomic(op, z, R10, _slot(z, p), s, fetch=fetch),
        st.sampled_from([AtomicOp.ADD, AtomicOp.OR, AtomicOp.AND, AtomicOp.XOR]),
        atomic_sizes,
        registers,
        places,
        st.booleans(),
    ),
    st.builds(lambda z, s, p: xchg(z, R10, _slot(z, p), s), atomic_sizes, registers, places),
    st.builds(lambda z, s, p: cmpxchg(z, R10, _slot(z, p), s), atomic_sizes, registers, places),
)
ordered_steps = st.one_of(
    st.builds(lambda z, d, p: load_acquire(z, d, R10, _slot(z, p)), sizes, registers, places),
    st.builds(lambda z, s, p: store_release(z, R10, _slot(z, p), s), sizes, registers, places),
)
branches = st.builds(
    Branch,
    st.sampled_from([op for op in JumpOp if op.is_comparison]),
    registers,
    st.one_of(registers, numbers),
    widths,
    st.integers(1, 6),
)
CALL = "call"
steps = st.lists(
    st.one_of(arithmetic_steps, arithmetic_steps, memory_steps, atomic_steps, branches, st.just(CALL)),
    min_size=1,
    max_size=40,
)


def program_of(body: list[Instruction | Branch | str]) -> list[Instruction]:
    """``body`` between a beginning that writes every register and an end that folds all there is into r0."""
    out = [mov(R6, R1)]
    out += [load(Size.DW, register, R6, 5 * index) for index, register in enumerate(SCALARS)]
    out += [store(Size.DW, R10, -8 * (index + 1), SCALARS[index]) for index in range(STACK_WORDS)]
    for index, step in enumerate(body):
        block = _block(step, min(index + step.distance, len(body)) if isinstance(step, Branch) else 0)
        out += [block[0].labelled(f"step{index}"), *block[1:]]
    folded = [jump(0).labelled(f"step{len(body)}")]
    for register in SCALARS[1:]:
        folded += [mul(R0, 31), xor(R0, register)]
    for index in range(STACK_WORDS):
        folded += [load(Size.DW, R1, R10, -8 * (index + 1)), mul(R0, 31), xor(R0, R1)]
    for index in range(MEMORY_SIZE // 8):
        folded += [load(Size.DW, R1, R6, 8 * index), mul(R0, 31), xor(R0, R1)]
    return [*out, *folded, exit_(), *(FUNCTION if CALL in body else ())]


def _block(step: Instruction | Branch | str, target: int) -> list[Instruction]:
    if isinstance(step, Instruction):
        # On x86-64 a 32-bit cmpxchg that succeeds leaves the upper half of rax, and the verifier of 6.18 forgets the
        # extension it owes when two paths with different definitions of r0 meet.
        if step.opcode.atomic_op is AtomicOp.CMPXCHG and step.opcode.size is Size.W:
            return [step, mov32(R0, R0)]
        return [step]
    if isinstance(step, Branch):
        return [jump_if(step.op, step.dst, step.operand, f"step{target}", bits=step.bits)]
    # A call destroys r1 to r5.
    return [call_function("function"), *(mov(register, 3 * register) for register in (R1, R2, R3, R4, R5))]


FUNCTION = [
    store(Size.DW, R10, -8, R2).labelled("function"),
    mov(R0, R1),
    mov(R6, R5),
    add(R0, R6),
    load(Size.DW, R7, R10, -8),
    xor(R0, R7),
    exit_(),
]


common = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def same(program: list[Instruction], memory: bytes) -> None:
    """Run both and compare; a program the verifier refuses would be a mistake of the strategy."""
    code = encode(assemble(program))
    assert run(code, memory) == run_in_kernel(code, memory)


@common
@given(steps, st.binary(min_size=MEMORY_SIZE, max_size=MEMORY_SIZE))
def test_random_programs_give_the_same(body: list[Instruction | Branch | str], memory: bytes) -> None:
    same(program_of(body), memory)


@common
@given(st.lists(arithmetic_steps, min_size=1, max_size=60), st.binary(min_size=MEMORY_SIZE, max_size=MEMORY_SIZE))
def test_random_arithmetic_gives_the_same(body: list[Instruction], memory: bytes) -> None:
    same(program_of([*body]), memory)


@settings(common, max_examples=60)
@given(st.lists(st.one_of(ordered_steps, memory_steps), min_size=1, max_size=30), st.binary(min_size=64, max_size=64))
def test_ordered_accesses_give_the_same(body: list[Instruction], memory: bytes) -> None:
    if not has_ordered_accesses():
        pytest.skip("load_acquire and store_release came with Linux 6.15")
    same(program_of([*body]), memory)


@functools.cache
def has_ordered_accesses() -> bool:
    """Whether this kernel knows them."""
    try:
        run_in_kernel(encode([store(Size.DW, R10, -8, 1), load_acquire(Size.DW, R0, R10, -8), exit_()]))
    except KernelError:
        return False
    return True


REFUSED = {
    "a register never written": [mov(R0, R3), exit_()],
    "r6 of the caller": [mov(R6, 1), call_function("f"), exit_(), mov(R0, R6).labelled("f"), exit_()],
    "an argument after a call": [call(8), mov(R0, R1), exit_()],
    "past the memory": [load(Size.W, R0, R1, 12), exit_()],
    "before the memory": [load(Size.W, R0, R1, -1), exit_()],
    "below the stack": [store(Size.DW, R10, -520, 1), mov(R0, 0), exit_()],
    "above the stack": [store(Size.DW, R10, 0, 1), mov(R0, 0), exit_()],
    "null": [mov(R1, 0), load(Size.B, R0, R1), exit_()],
    "out of the program": [jump(5), mov(R0, 0), exit_()],
    "past the end": [mov(R0, 0)],
    "to r10": [mov(R10, 0), mov(R0, 0), exit_()],
    "a helper that is not": [call(9999), exit_()],
    "no map": [mov(R2, R10), call(1), mov(R0, 0), exit_()],
    "9 frames": [call_function("f0"), exit_()],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_a_fault_here_the_verifier_refuses(name: str) -> None:
    program = REFUSED[name]
    if name == "9 frames":
        for depth in range(8):
            program = [*program, call_function(f"f{depth + 1}").labelled(f"f{depth}"), exit_()]
        program = [*program, mov(R0, 0).labelled("f8"), exit_()]
    code = encode(assemble(program))
    with pytest.raises(VmFault):
        run(code, bytes(14))
    with pytest.raises((ProgramRejected, KernelError)):
        run_in_kernel(code, bytes(14))


def test_memory_shorter_than_a_packet() -> None:
    code = encode([load(Size.W, R0, R1, 1), mul(R0, R2), exit_()])
    assert run(code, bytes(range(5))) == run_in_kernel(code, bytes(range(5))) == 0x0403_0201 * 5


def test_no_memory() -> None:
    code = encode([mov(R0, R1), add(R0, R2), add(R0, -1), exit_()])
    assert run(code) == run_in_kernel(code) == (1 << 64) - 1

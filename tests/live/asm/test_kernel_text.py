"""Against the running kernel: the verifier reads our bytes as the text we give them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R6,
    R10,
    AluOp,
    AtomicOp,
    Instruction,
    JumpOp,
    Size,
    alu,
    assemble,
    atomic,
    bswap,
    call,
    call_function,
    cmpxchg,
    decode,
    encode,
    exit_,
    format_instruction,
    helper_name,
    jump,
    jump_if,
    jump_long,
    ld_abs,
    ld_ind,
    load,
    load_acquire,
    load_imm64,
    loadsx,
    may_goto,
    mov,
    mov32,
    movsx,
    movsx32,
    neg,
    neg32,
    slot_offsets,
    store,
    store_release,
    to_be,
    to_le,
    xchg,
)
from pybpf.btf import Enumeration, KernelBtf, Kind
from pybpf.errors import KernelError
from pybpf.kernel.constants import LogLevel, ProgramType
from pybpf.kernel.prog_ops import prog_load, prog_test_run

BINARY = (
    AluOp.ADD,
    AluOp.SUB,
    AluOp.MUL,
    AluOp.DIV,
    AluOp.OR,
    AluOp.AND,
    AluOp.LSH,
    AluOp.RSH,
    AluOp.MOD,
    AluOp.XOR,
    AluOp.MOV,
    AluOp.ARSH,
)
ARITHMETIC_OF_ATOMICS = (AtomicOp.ADD, AtomicOp.OR, AtomicOp.AND, AtomicOp.XOR)
COMPARISONS = [op for op in JumpOp if op.is_comparison]

OLD = [
    *[alu(op, R1, R2, bits=bits) for op in BINARY for bits in (64, 32)],
    *[alu(op, R1, 7, bits=bits) for op in BINARY for bits in (64, 32)],
    neg(R1),
    neg32(R1),
    *[swap(R1, bits) for swap in (to_le, to_be) for bits in (16, 32, 64)],
    mov(R2, -1),
    mov32(R2, -1),
    load_imm64(R2, 0x1234_5678_9ABC_DEF0),
    *[load(size, R2, R10, -8) for size in Size],
    *[store(size, R10, -16, R2) for size in Size],
    *[store(size, R10, -16, -3) for size in Size],
    *[ld_abs(size, 4) for size in (Size.B, Size.H, Size.W)],
    mov(R3, 2),
    ld_ind(Size.B, R3, 4),
    mov(R1, 1),
    mov(R2, 2),
    atomic(AtomicOp.ADD, Size.DW, R10, -8, R2),
    call(7),
    mov(R1, R0),
    mov(R2, 5),
]
# Linux 5.1: comparisons of 32 bits; 5.12: atomics.
MIDDLE = [
    *[jump_if(op, R1, R2, 0, bits=bits) for op in COMPARISONS for bits in (64, 32)],
    *[jump_if(op, R1, -2, 0, bits=bits) for op in COMPARISONS for bits in (64, 32)],
    jump(0),
    *[atomic(op, size, R10, -8, R2) for op in ARITHMETIC_OF_ATOMICS for size in (Size.W, Size.DW)],
    *[atomic(op, size, R10, -8, R2, fetch=True) for op in ARITHMETIC_OF_ATOMICS for size in (Size.W, Size.DW)],
    *[exchange(size, R10, -8, R2) for exchange in (xchg, cmpxchg) for size in (Size.W, Size.DW)],
]
# Linux 6.6, and may_goto of 6.9.
NEW = [
    *[alu(op, R1, R2, bits=bits) for op in (AluOp.SDIV, AluOp.SMOD) for bits in (64, 32)],
    *[alu(op, R1, 7, bits=bits) for op in (AluOp.SDIV, AluOp.SMOD) for bits in (64, 32)],
    *[movsx(R1, R2, bits) for bits in (8, 16, 32)],
    *[movsx32(R1, R2, bits) for bits in (8, 16)],
    *[bswap(R1, bits) for bits in (16, 32, 64)],
    *[loadsx(size, R1, R10, -8) for size in (Size.B, Size.H, Size.W)],
    jump_long(0),
    may_goto(0),
]
# Linux 6.15.
NEWEST = [
    *[load_acquire(size, R1, R10, -8) for size in Size],
    *[store_release(size, R10, -8, R2) for size in Size],
]


def program(body: list[Instruction]) -> tuple[Instruction, ...]:
    """``body`` with everything it uses made ready before it."""
    begin = [
        mov(R6, R1),
        mov(R0, 0),
        mov(R1, 1),
        mov(R2, 2),
        store(Size.DW, R10, -8, 1),
        store(Size.DW, R10, -16, 1),
    ]
    return assemble(
        [*begin, *body, call_function("function"), mov(R0, 0), exit_(), mov(R0, 0).labelled("function"), exit_()]
    )


def verifier_lines(instructions: tuple[Instruction, ...]) -> dict[int, tuple[str, str]]:
    """The opcode and text that the verifier logs for each slot; its remarks on registers are cut off."""
    logs: list[str] = []
    prog_load(ProgramType.SOCKET_FILTER, encode(instructions), log_level=LogLevel.STATES, on_log=logs.append).close()
    lines = re.findall(r"^(\d+): \(([0-9a-f]{2})\) (.*?)\s*(?:;.*)?$", "".join(logs), re.MULTILINE)
    return {int(slot): (opcode, text) for slot, opcode, text in lines}


@pytest.mark.parametrize(
    ("body", "since"),
    [(OLD, "4.14"), (MIDDLE, "5.12"), (NEW, "6.9"), (NEWEST, "6.15")],
    ids=["old", "middle", "new", "newest"],
)
def test_the_verifier_reads_what_we_wrote(body: list[Instruction], since: str) -> None:
    instructions = program(body)
    try:
        logged = verifier_lines(instructions)
    except KernelError as error:
        if since != "4.14" and re.search(r"unknown opcode|invalid atomic|uses reserved fields", str(error)):
            pytest.skip(f"needs the instructions of Linux {since}")
        raise
    ours = {
        slot: (f"{ins.opcode.byte:02x}", format_instruction(ins))
        for slot, ins in zip(slot_offsets(instructions), instructions)
    }
    # What the verifier knows to be dead it does not log; nearly everything here is alive.
    assert len(logged) > 0.9 * len(ours)
    assert logged == {slot: ours[slot] for slot in logged}


@pytest.mark.parametrize(
    ("op", "value", "taken"),
    [
        (JumpOp.EQ, 5, True),
        (JumpOp.EQ, 6, False),
        (JumpOp.SET, 4, True),
        (JumpOp.SET, 8, False),
        (JumpOp.SLT, 6, True),
        (JumpOp.SLT, 5, False),
    ],
)
def test_far_jumps_go_where_near_ones_would(op: JumpOp, value: int, taken: bool) -> None:
    filler = [mov(R2, 0)] * 0x8000
    # The packet's length is 5 more than the 14 bytes of its Ethernet header, and the verifier does not know it.
    instructions = assemble(
        [
            jump("begin"),
            exit_().labelled("out"),
            load(Size.W, R1, R1).labelled("begin"),
            alu(AluOp.AND, R1, 7),
            mov(R0, 1),
            jump_if(op, R1, value, "taken"),
            *filler,
            jump("out"),
            mov(R0, 2).labelled("taken"),
            jump("out"),
        ]
    )
    try:
        loaded = prog_load(ProgramType.SOCKET_FILTER, encode(instructions))
    except KernelError as error:
        if "unknown opcode" in str(error):
            pytest.skip("needs the long jumps of Linux 6.6")
        raise
    with loaded:
        assert prog_test_run(loaded, bytes(14 + 5)).return_value == (2 if taken else 1)


@pytest.mark.needs("bpftool")
def test_bpftool_reads_a_translated_program_as_we_do(tmp_path: Path) -> None:
    with prog_load(ProgramType.SOCKET_FILTER, encode(program([*OLD, *MIDDLE]))) as loaded:
        info = Path(f"/proc/self/fdinfo/{loaded.fileno()}").read_text()
        found = re.search(r"^prog_id:\s*(\d+)", info, re.MULTILINE)
        assert found is not None
        dump = ["bpftool", "prog", "dump", "xlated", "id", found[1]]
        text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
        subprocess.run([*dump, "file", str(tmp_path / "code")], capture_output=True, check=True)
    translated = decode((tmp_path / "code").read_bytes())
    theirs = {
        int(slot): (opcode, line)
        for slot, opcode, line in re.findall(r"^\s*(\d+): \(([0-9a-f]{2})\) (.*)$", text, re.MULTILINE)
    }
    ours = {
        slot: (f"{ins.opcode.byte:02x}", format_instruction(ins))
        for slot, ins in zip(slot_offsets(translated), translated)
    }
    assert ours.keys() == theirs.keys()
    # A call has become an address, which bpftool gives a name from the kernel's symbols.
    calls = {slot for slot, (_, line) in theirs.items() if line.startswith("call")}
    differing = {slot: (ours[slot], theirs[slot]) for slot in ours.keys() - calls if ours[slot] != theirs[slot]}
    assert differing == {}


@pytest.mark.needs("btf")
def test_helpers_are_called_what_the_kernel_calls_them() -> None:
    kernel = KernelBtf.load()
    decoded = kernel.type(kernel.require("bpf_func_id", Kind.ENUM))
    assert isinstance(decoded, Enumeration)
    for item in decoded.values:
        name = item.name.replace("BPF_FUNC_", "bpf_")
        if not name.startswith("__"):
            # A kernel older than our list has fewer; none renames a helper.
            assert helper_name(item.value) == name

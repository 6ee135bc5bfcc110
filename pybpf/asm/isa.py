"""The instruction set as a table: every operation, the fields it uses, the kernel that brought it.

RFC 9669 for what is standard, ``instruction-set.rst`` and ``include/uapi/linux/bpf.h`` of Linux 6.18 for the
rest. Fields an operation does not use are reserved and have to be zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pybpf.asm.opcode import AluOp, AtomicOp, InstructionClass, JumpOp, Mode, OpCode, OperandSource, Size
from pybpf.asm.operands import CallKind, WideKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DST, SRC, OFFSET, IMM = 1, 2, 4, 8

_K, _X = OperandSource.K, OperandSource.X
_V1, _V2, _V3, _V4 = 1, 2, 3, 4
_COMPARISONS_V2 = (JumpOp.LT, JumpOp.LE, JumpOp.SLT, JumpOp.SLE)


@dataclass(frozen=True)
class Form:
    """One operation.

    ``fields`` is a sum of DST, SRC, OFFSET and IMM: the operands. ``since`` is the kernel that brought it, empty when
    none has it yet. ``version`` is the ``-mcpu`` level at which clang emits it, None for what only the kernel makes.
    ``kinds`` are the values the source register field may have where it names no register.
    """

    opcode: OpCode
    fields: int
    since: str
    version: int | None
    kinds: tuple[int, ...] = ()


@cache
def forms() -> Mapping[int, Form]:
    """Every operation by its extended opcode."""
    return {form.opcode: form for form in (*_arithmetic(), *_memory(), *_flow())}


def form_of(opcode: int) -> Form | None:
    """The operation of this extended opcode; None when there is none."""
    return forms().get(opcode)


def _arithmetic() -> Iterator[Form]:
    for cls, version in ((InstructionClass.ALU, _V3), (InstructionClass.ALU64, _V1)):
        for op in AluOp:
            if op & 0xF0 not in (AluOp.NEG, AluOp.END) and op < 0x100:
                yield Form(OpCode(op | cls | _K), DST | IMM, "3.18", version)
                # The kernel marks the moves it adds to clear an upper half (5.3) with 1 in the immediate.
                marked = IMM if op is AluOp.MOV and cls is InstructionClass.ALU else 0
                yield Form(OpCode(op | cls | _X), DST | SRC | marked, "3.18", version)
        yield Form(OpCode(AluOp.NEG | cls), DST, "3.18", version)
        for op in (AluOp.SDIV, AluOp.SMOD):
            yield Form(OpCode(op | cls | _K), DST | IMM, "6.6", _V4)
            yield Form(OpCode(op | cls | _X), DST | SRC, "6.6", _V4)
        for op in (AluOp.MOVSX8, AluOp.MOVSX16):
            yield Form(OpCode(op | cls | _X), DST | SRC, "6.6", _V4)
    yield Form(OpCode(AluOp.MOVSX32 | InstructionClass.ALU64 | _X), DST | SRC, "6.6", _V4)
    yield Form(OpCode(AluOp.ADDR_SPACE_CAST | InstructionClass.ALU64 | _X), DST | SRC | IMM, "6.9", _V1)
    yield Form(OpCode(AluOp.MOV_PERCPU | InstructionClass.ALU64 | _X), DST | SRC, "6.10", None)
    for bits in (16, 32, 64):
        swap = bits << 8 | AluOp.END
        yield Form(OpCode(swap | InstructionClass.ALU | _K), DST, "3.18", _V1)
        yield Form(OpCode(swap | InstructionClass.ALU | _X), DST, "3.18", _V1)
        yield Form(OpCode(swap | InstructionClass.ALU64), DST, "6.6", _V4)


def _memory() -> Iterator[Form]:
    for size in Size:
        yield Form(OpCode(InstructionClass.LDX | Mode.MEM | size), DST | SRC | OFFSET, "3.18", _V1)
        yield Form(OpCode(InstructionClass.ST | Mode.MEM | size), DST | OFFSET | IMM, "3.18", _V1)
        yield Form(OpCode(InstructionClass.STX | Mode.MEM | size), DST | SRC | OFFSET, "3.18", _V1)
        for op in (AtomicOp.LOAD_ACQUIRE, AtomicOp.STORE_RELEASE):
            yield Form(_atomic(size, op), DST | SRC | OFFSET, "6.15", _V4)
        if size is not Size.DW:
            yield Form(OpCode(InstructionClass.LDX | Mode.MEMSX | size), DST | SRC | OFFSET, "6.6", _V4)
            yield Form(OpCode(InstructionClass.LD | Mode.ABS | size), IMM, "3.18", _V1)
            yield Form(OpCode(InstructionClass.LD | Mode.IND | size), SRC | IMM, "3.18", _V1)
    for size in (Size.W, Size.DW):
        for op in AtomicOp:
            if op < AtomicOp.LOAD_ACQUIRE:
                since, version = ("3.18", _V1) if op is AtomicOp.ADD else ("5.12", _V3)
                yield Form(_atomic(size, op), DST | SRC | OFFSET, since, version)
    wide = OpCode(InstructionClass.LD | Mode.IMM | Size.DW)
    yield Form(wide, DST | SRC | IMM, "3.18", _V1, kinds=tuple(WideKind))
    # The kernel's barrier against speculative stores (5.15): it has no operands and no name in the user-space headers.
    yield Form(OpCode(InstructionClass.ST | Mode.ATOMIC), 0, "5.15", None)


def _atomic(size: Size, op: AtomicOp) -> OpCode:
    return OpCode(InstructionClass.STX | Mode.ATOMIC | size | op << 8)


def _flow() -> Iterator[Form]:
    for cls in (InstructionClass.JMP, InstructionClass.JMP32):
        for op in JumpOp:
            if op.is_comparison:
                since, version = ("4.14", _V2) if op in _COMPARISONS_V2 else ("3.18", _V1)
                if cls is InstructionClass.JMP32:
                    since, version = "5.1", _V3
                yield Form(OpCode(cls | op | _K), DST | OFFSET | IMM, since, version)
                yield Form(OpCode(cls | op | _X), DST | SRC | OFFSET, since, version)
    yield Form(OpCode(InstructionClass.JMP | JumpOp.JA), OFFSET, "3.18", _V1)
    yield Form(OpCode(InstructionClass.JMP | JumpOp.JA | _X), DST, "6.19", _V4)
    yield Form(OpCode(InstructionClass.JMP32 | JumpOp.JA), IMM, "6.6", _V4)
    yield Form(OpCode(InstructionClass.JMP | JumpOp.JCOND), OFFSET, "6.9", _V4)
    yield Form(OpCode(InstructionClass.JMP | JumpOp.CALL), SRC | OFFSET | IMM, "3.18", _V1, kinds=tuple(CallKind))
    yield Form(OpCode(InstructionClass.JMP | JumpOp.CALL | _X), DST, "", None)
    yield Form(OpCode(InstructionClass.JMP | JumpOp.EXIT), 0, "3.18", _V1)

"""Jumps, calls and exit: constructors that read like assembly.

A target is the name of a label, or an offset in slots from the next instruction.
"""

from __future__ import annotations

from typing import Union

from pybpf.asm.alu import Operand
from pybpf.asm.errors import AsmError
from pybpf.asm.immediates import either32, signed16, signed32
from pybpf.asm.instruction import CALL, Instruction
from pybpf.asm.opcode import JumpOp, OpCode
from pybpf.asm.operands import CallKind, KfuncReference, Register

Target = Union[str, int]

_JMP, _JMP32, _REGISTER = 0x05, 0x06, 0x08

GOTO = OpCode(_JMP | JumpOp.JA)
GOTO_LONG = OpCode(_JMP32 | JumpOp.JA)
MAY_GOTO = OpCode(_JMP | JumpOp.JCOND)
EXIT = OpCode(_JMP | JumpOp.EXIT)


def jump(target: Target) -> Instruction:
    """``goto target``; becomes ``gotol`` where a label is further away than 16 bits of offset."""
    if isinstance(target, str):
        return Instruction(GOTO, target=target)
    return Instruction(GOTO, offset=signed16(target))


def jump_long(target: Target) -> Instruction:
    """``gotol target``, with 32 bits of offset; Linux 6.6."""
    if isinstance(target, str):
        return Instruction(GOTO_LONG, target=target)
    return Instruction(GOTO_LONG, imm=signed32(target))


def jump_if(op: JumpOp, dst: Register, operand: Operand, target: Target, *, bits: int = 64) -> Instruction:
    """``if dst op operand goto target``, on 64 bits or (Linux 5.1) on the lower half.

    Raises:
        AsmError: ``op`` is no comparison, the immediate does not fit, or ``bits`` is not 32 or 64.
    """
    if not op.is_comparison:
        raise AsmError(f"{op.name} is no comparison")
    if bits not in (32, 64):
        raise AsmError(f"comparisons have 32 or 64 bits, not {bits}")
    code = op | (_JMP if bits == 64 else _JMP32)
    label, offset = (target, 0) if isinstance(target, str) else (None, signed16(target))
    if isinstance(operand, Register):
        return Instruction(OpCode(code | _REGISTER), dst, operand, offset, 0, label)
    imm = signed32(operand) if bits == 64 else either32(operand)
    return Instruction(OpCode(code), dst, 0, offset, imm, label)


def may_goto(target: Target) -> Instruction:
    """Jump when the program's budget of iterations is spent: bounds any loop; Linux 6.9."""
    if isinstance(target, str):
        return Instruction(MAY_GOTO, target=target)
    return Instruction(MAY_GOTO, offset=signed16(target))


def jump_register(dst: Register) -> Instruction:
    """``gotox dst``: through a jump table; Linux 6.19."""
    return Instruction(OpCode(_JMP | _REGISTER | JumpOp.JA), dst)


def call(helper: int) -> Instruction:
    """Call a helper of the kernel by its number (``BPF_FUNC_...``)."""
    return Instruction(CALL, 0, CallKind.HELPER, imm=signed32(helper))


def call_kfunc(name: str) -> Instruction:
    """Call a kernel function by its name; Linux 5.13."""
    return Instruction(CALL, 0, CallKind.KFUNC, reference=KfuncReference(name))


def call_function(label: str) -> Instruction:
    """Call another function of the program; Linux 4.16."""
    return Instruction(CALL, 0, CallKind.FUNCTION, target=label)


def call_register(dst: Register) -> Instruction:
    """``callx dst``: RFC 9669's callx group; compilers emit it, no Linux up to 6.18 accepts it."""
    return Instruction(OpCode(_JMP | _REGISTER | JumpOp.CALL), dst)


def exit_() -> Instruction:
    """Return R0 from the function."""
    return Instruction(EXIT)

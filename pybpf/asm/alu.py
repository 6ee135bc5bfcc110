"""Arithmetic: constructors that read like assembly.

The second operand is a :class:`~pybpf.asm.operands.Register` or an integer. Functions without suffix work on 64 bits;
those with ``32`` work on the lower half and clear the upper one.
"""

from __future__ import annotations

from typing import Union

from pybpf.asm.errors import AsmError
from pybpf.asm.immediates import either32, signed32
from pybpf.asm.instruction import Instruction
from pybpf.asm.opcode import AluOp, OpCode
from pybpf.asm.operands import Register

Operand = Union[Register, int]

_ALU32, _ALU64, _REGISTER = 0x04, 0x07, 0x08
_MOVSX = {8: AluOp.MOVSX8, 16: AluOp.MOVSX16, 32: AluOp.MOVSX32}


def alu(op: AluOp, dst: Register, operand: Operand, *, bits: int = 64) -> Instruction:
    """``dst op= operand`` for any operation of two operands.

    Raises:
        AsmError: the immediate does not fit, the operation takes no such operand, or ``bits`` is not 32 or 64.
    """
    if bits not in (32, 64):
        raise AsmError(f"arithmetic has 32 or 64 bits, not {bits}")
    if op in (AluOp.NEG, AluOp.END):
        raise AsmError(f"{op.name} takes one operand")
    code = op | (_ALU64 if bits == 64 else _ALU32)
    if isinstance(operand, Register):
        return Instruction(OpCode(code | _REGISTER), dst, operand)
    if op & 0xF0 == AluOp.MOV and op != AluOp.MOV:
        raise AsmError(f"{op.name} takes a register")
    return Instruction(OpCode(code), dst, imm=signed32(operand) if bits == 64 else either32(operand))


def mov(dst: Register, operand: Operand) -> Instruction:
    """``dst = operand``; an immediate is extended with its sign."""
    return alu(AluOp.MOV, dst, operand)


def mov32(dst: Register, operand: Operand) -> Instruction:
    """``dst = operand`` on the lower half; the upper one becomes zero."""
    return alu(AluOp.MOV, dst, operand, bits=32)


def movsx(dst: Register, src: Register, bits: int) -> Instruction:
    """``dst`` = the lowest 8, 16 or 32 bits of ``src``, extended with their sign to 64; Linux 6.6."""
    if bits not in _MOVSX:
        raise AsmError(f"movsx extends 8, 16 or 32 bits, not {bits}")
    return alu(_MOVSX[bits], dst, src)


def movsx32(dst: Register, src: Register, bits: int) -> Instruction:
    """``dst`` = the lowest 8 or 16 bits of ``src``, extended with their sign to 32; Linux 6.6."""
    if bits not in (8, 16):
        raise AsmError(f"movsx32 extends 8 or 16 bits, not {bits}")
    return alu(_MOVSX[bits], dst, src, bits=32)


def neg(dst: Register, *, bits: int = 64) -> Instruction:
    """``dst = -dst``."""
    if bits not in (32, 64):
        raise AsmError(f"arithmetic has 32 or 64 bits, not {bits}")
    return Instruction(OpCode(AluOp.NEG | (_ALU64 if bits == 64 else _ALU32)), dst)


def neg32(dst: Register) -> Instruction:
    """``dst = -dst`` on the lower half."""
    return neg(dst, bits=32)


def to_le(dst: Register, bits: int) -> Instruction:
    """The lowest 16, 32 or 64 bits from host order to little endian, the rest cleared."""
    return _swap(_ALU32, dst, bits)


def to_be(dst: Register, bits: int) -> Instruction:
    """The lowest 16, 32 or 64 bits from host order to big endian, the rest cleared; and back."""
    return _swap(_ALU32 | _REGISTER, dst, bits)


def bswap(dst: Register, bits: int) -> Instruction:
    """The bytes of the lowest 16, 32 or 64 bits reversed, the rest cleared; Linux 6.6."""
    return _swap(_ALU64, dst, bits)


def _swap(code: int, dst: Register, bits: int) -> Instruction:
    if bits not in (16, 32, 64):
        raise AsmError(f"byte swaps have 16, 32 or 64 bits, not {bits}")
    return Instruction(OpCode(code | AluOp.END | bits << 8), dst)


def addr_space_cast(dst: Register, src: Register, to: int, origin: int) -> Instruction:
    """``src`` as a pointer of address space ``to`` (1 is an arena, 0 the program's own); Linux 6.9."""
    code = AluOp.ADDR_SPACE_CAST | _ALU64 | _REGISTER
    return Instruction(OpCode(code), dst, src, imm=either32((to & 0xFFFF) << 16 | origin & 0xFFFF))


def add(dst: Register, operand: Operand) -> Instruction:
    """``dst += operand``."""
    return alu(AluOp.ADD, dst, operand)


def sub(dst: Register, operand: Operand) -> Instruction:
    """``dst -= operand``."""
    return alu(AluOp.SUB, dst, operand)


def mul(dst: Register, operand: Operand) -> Instruction:
    """``dst *= operand``."""
    return alu(AluOp.MUL, dst, operand)


def div(dst: Register, operand: Operand) -> Instruction:
    """``dst /= operand``, unsigned; division by zero gives zero."""
    return alu(AluOp.DIV, dst, operand)


def mod(dst: Register, operand: Operand) -> Instruction:
    """``dst %= operand``, unsigned; by zero leaves ``dst``."""
    return alu(AluOp.MOD, dst, operand)


def sdiv(dst: Register, operand: Operand) -> Instruction:
    """``dst /= operand``, signed, towards zero; Linux 6.6."""
    return alu(AluOp.SDIV, dst, operand)


def smod(dst: Register, operand: Operand) -> Instruction:
    """``dst %= operand``, signed as in C; Linux 6.6."""
    return alu(AluOp.SMOD, dst, operand)


def or_(dst: Register, operand: Operand) -> Instruction:
    """``dst |= operand``."""
    return alu(AluOp.OR, dst, operand)


def and_(dst: Register, operand: Operand) -> Instruction:
    """``dst &= operand``."""
    return alu(AluOp.AND, dst, operand)


def xor(dst: Register, operand: Operand) -> Instruction:
    """``dst ^= operand``."""
    return alu(AluOp.XOR, dst, operand)


def lsh(dst: Register, operand: Operand) -> Instruction:
    """``dst <<= operand``."""
    return alu(AluOp.LSH, dst, operand)


def rsh(dst: Register, operand: Operand) -> Instruction:
    """``dst >>= operand``, zeros shifted in."""
    return alu(AluOp.RSH, dst, operand)


def arsh(dst: Register, operand: Operand) -> Instruction:
    """``dst >>= operand``, the sign shifted in."""
    return alu(AluOp.ARSH, dst, operand)


def add32(dst: Register, operand: Operand) -> Instruction:
    """``dst += operand`` on the lower half."""
    return alu(AluOp.ADD, dst, operand, bits=32)


def sub32(dst: Register, operand: Operand) -> Instruction:
    """``dst -= operand`` on the lower half."""
    return alu(AluOp.SUB, dst, operand, bits=32)


def mul32(dst: Register, operand: Operand) -> Instruction:
    """``dst *= operand`` on the lower half."""
    return alu(AluOp.MUL, dst, operand, bits=32)


def div32(dst: Register, operand: Operand) -> Instruction:
    """``dst /= operand`` on the lower half, unsigned."""
    return alu(AluOp.DIV, dst, operand, bits=32)


def mod32(dst: Register, operand: Operand) -> Instruction:
    """``dst %= operand`` on the lower half, unsigned."""
    return alu(AluOp.MOD, dst, operand, bits=32)


def sdiv32(dst: Register, operand: Operand) -> Instruction:
    """``dst /= operand`` on the lower half, signed; Linux 6.6."""
    return alu(AluOp.SDIV, dst, operand, bits=32)


def smod32(dst: Register, operand: Operand) -> Instruction:
    """``dst %= operand`` on the lower half, signed; Linux 6.6."""
    return alu(AluOp.SMOD, dst, operand, bits=32)


def or32(dst: Register, operand: Operand) -> Instruction:
    """``dst |= operand`` on the lower half."""
    return alu(AluOp.OR, dst, operand, bits=32)


def and32(dst: Register, operand: Operand) -> Instruction:
    """``dst &= operand`` on the lower half."""
    return alu(AluOp.AND, dst, operand, bits=32)


def xor32(dst: Register, operand: Operand) -> Instruction:
    """``dst ^= operand`` on the lower half."""
    return alu(AluOp.XOR, dst, operand, bits=32)


def lsh32(dst: Register, operand: Operand) -> Instruction:
    """``dst <<= operand`` on the lower half."""
    return alu(AluOp.LSH, dst, operand, bits=32)


def rsh32(dst: Register, operand: Operand) -> Instruction:
    """``dst >>= operand`` on the lower half, zeros shifted in."""
    return alu(AluOp.RSH, dst, operand, bits=32)


def arsh32(dst: Register, operand: Operand) -> Instruction:
    """``dst >>= operand`` on the lower half, the sign shifted in."""
    return alu(AluOp.ARSH, dst, operand, bits=32)

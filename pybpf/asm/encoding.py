"""Between instructions and the bytes of ``struct bpf_insn``, both ways.

Eight bytes each: opcode, destination and source register in four bits each, offset of 16 bits, immediate of 32
(RFC 9669, section 3). Numbers and the two registers lie in the order of the host.
"""

from __future__ import annotations

import struct
import sys
from functools import cache
from typing import TYPE_CHECKING

from pybpf.asm.errors import AsmError
from pybpf.asm.instruction import CALL, LOAD_IMM64, Instruction
from pybpf.asm.isa import DST, IMM, OFFSET, SRC, Form, forms
from pybpf.asm.opcode import AluOp, InstructionClass, Mode, OperandSource
from pybpf.asm.operands import Register

if TYPE_CHECKING:
    from collections.abc import Iterable

_SLOT = 8
_LAST_REGISTER = Register.R11
_NO_EXTENSION, _IN_OFFSET, _IN_IMM = 0, 1, 2


def encode(instructions: Iterable[Instruction], *, byteorder: str = sys.byteorder) -> bytes:
    """The bytes that ``BPF_PROG_LOAD`` takes.

    Raises:
        AsmError: no such operation, an operand out of range, something in a reserved field, a label that was not
            assembled or a reference that was not bound.
    """
    slot = struct.Struct("<BBhi" if byteorder == "little" else ">BBhi")
    pack = slot.pack
    dst_shift, src_shift = (0, 4) if byteorder == "little" else (4, 0)
    table = forms()
    where = _extension_places()
    parts: list[bytes] = []
    for index, ins in enumerate(instructions):
        opcode = ins.opcode
        dst, src, offset, imm = ins.dst, ins.src, ins.offset, ins.imm
        form = table.get(opcode)
        if form is None or ins.target is not None or ins.reference is not None:
            raise AsmError(_why_not(ins, form), index)
        fields = form.fields
        if (
            (dst and (not fields & DST or not 0 < dst <= _LAST_REGISTER))
            or (src and (not fields & SRC or not 0 < src <= _LAST_REGISTER))
            or (offset and not fields & OFFSET)
            or (imm and not fields & IMM)
            or (form.kinds and src not in form.kinds)
        ):
            raise AsmError(_misfit(ins, form), index)
        byte = opcode & 0xFF
        place = where[byte]
        try:
            if place == _IN_OFFSET:
                extension = opcode >> 8
                parts.append(
                    pack(
                        byte,
                        dst << dst_shift | src << src_shift,
                        extension if extension < 0x8000 else extension - 0x10000,
                        imm,
                    )
                )
            elif place == _IN_IMM:
                parts.append(pack(byte, dst << dst_shift | src << src_shift, offset, opcode >> 8))
            elif opcode == LOAD_IMM64:
                if not -(1 << 63) <= imm < 1 << 63:
                    raise AsmError(f"immediate {imm:#x} does not fit 64 bits with sign", index)
                low = imm & 0xFFFF_FFFF
                parts.append(pack(byte, dst << dst_shift | src << src_shift, 0, (low ^ 0x8000_0000) - 0x8000_0000))
                parts.append(pack(0, 0, 0, imm >> 32))
            else:
                parts.append(pack(byte, dst << dst_shift | src << src_shift, offset, imm))
        except struct.error:
            raise AsmError(_misfit(ins, form), index) from None
    return b"".join(parts)


def decode(data: bytes | bytearray | memoryview, *, byteorder: str = sys.byteorder) -> tuple[Instruction, ...]:
    """The instructions in ``data``; an ``ld_imm64`` of two slots is one of them.

    Raises:
        AsmError: cut short, no such operation, or something in a reserved field. Its index counts slots of 8 bytes.
    """
    if len(data) % _SLOT:
        raise AsmError(f"{len(data)} bytes are no whole number of instructions", len(data) // _SLOT)
    order = "<" if byteorder == "little" else ">"
    where = _extension_places()
    table = forms()
    out: list[Instruction] = []
    slots = struct.iter_unpack(order + "BBhi", data)
    index = -1
    for byte, registers, offset, imm in slots:
        index += 1
        if byteorder == "little":
            dst, src = registers & 0x0F, registers >> 4
        else:
            dst, src = registers >> 4, registers & 0x0F
        place = where[byte]
        number = byte
        if place == _IN_OFFSET:
            number, offset = byte | (offset & 0xFFFF) << 8, 0
        elif place == _IN_IMM:
            number, imm = byte | (imm & 0xFFFF_FFFF) << 8, 0
        form = table.get(number)
        if form is None:
            raise AsmError(f"no operation has opcode {number:#04x}", index)
        if number == LOAD_IMM64:
            second = next(slots, None)
            if second is None:
                raise AsmError("ld_imm64 is cut short", index)
            if second[:3] != (0, 0, 0):
                raise AsmError("the second half of ld_imm64 has something in a reserved field", index + 1)
            imm = (imm & 0xFFFF_FFFF) | second[3] << 32
            index += 1
        ins = Instruction(form.opcode, dst, src, offset, imm)
        fields = form.fields
        if (
            (dst and (not fields & DST or dst > _LAST_REGISTER))
            or (src and (not fields & SRC or src > _LAST_REGISTER))
            or (offset and not fields & OFFSET)
            or (imm and not fields & IMM)
            or (form.kinds and src not in form.kinds)
        ):
            raise AsmError(_misfit(ins, form), index - ins.slots + 1)
        out.append(ins)
    return tuple(out)


@cache
def _extension_places() -> tuple[int, ...]:
    """Which field the extension of each of the 256 opcodes lies in."""
    places = [_NO_EXTENSION] * 256
    for cls in (InstructionClass.ALU, InstructionClass.ALU64):
        for source in OperandSource:
            places[cls | source | AluOp.DIV] = places[cls | source | AluOp.MOD] = _IN_OFFSET
            places[cls | source | AluOp.END] = _IN_IMM
        places[cls | OperandSource.X | AluOp.MOV] = _IN_OFFSET
    for size in range(0, 0x20, 8):
        places[InstructionClass.STX | Mode.ATOMIC | size] = _IN_IMM
    return tuple(places)


def _why_not(ins: Instruction, form: Form | None) -> str:
    if form is None:
        return f"no operation has opcode {int(ins.opcode):#04x}"
    if ins.target is not None:
        return f"label {ins.target!r} has no address yet: assemble() the program first"
    return f"{ins.reference!r} has no number yet: bind() the program first"


def _misfit(ins: Instruction, form: Form) -> str:
    if form.kinds and ins.src not in form.kinds:
        what = "call" if ins.opcode == CALL else "64-bit immediate"
        return f"there is no {what} of kind {int(ins.src)}"
    checks = (
        ("dst", int(ins.dst), form.fields & DST, 0, _LAST_REGISTER),
        ("src", int(ins.src), form.fields & SRC, 0, _LAST_REGISTER),
        ("offset", ins.offset, form.fields & OFFSET, -0x8000, 0x7FFF),
        ("imm", ins.imm, form.fields & IMM, -0x8000_0000, 0x7FFF_FFFF),
    )
    for name, value, used, low, high in checks:
        if value and not used:
            return f"{name} is {value}, but opcode {int(ins.opcode):#04x} has no such operand"
        if not low <= value <= high and not (name == "imm" and ins.is_wide):
            return f"{name} is {value}, outside of {int(low)} to {int(high)}"
    return f"operands do not fit opcode {int(ins.opcode):#04x}"

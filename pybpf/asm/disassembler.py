"""Instructions as text, in the syntax of the kernel's verifier (``kernel/bpf/disasm.c``, Linux 6.18).

What the verifier prints as a bare number is written as bpftool does: maps, functions of the program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from pybpf.asm.encoding import decode
from pybpf.asm.flow import GOTO_LONG
from pybpf.asm.helper_names import helper_name
from pybpf.asm.opcode import AluOp, AtomicOp, InstructionClass, JumpOp, Mode, OpCode, Size
from pybpf.asm.operands import CallKind, KfuncReference, MapReference, MapValueReference, WideKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pybpf.asm.instruction import Instruction
    from pybpf.asm.operands import SourceLine

    Program = Union[Iterable[Instruction], bytes, bytearray, memoryview]

_ALU_SYMBOLS = {
    AluOp.ADD: "+=",
    AluOp.SUB: "-=",
    AluOp.MUL: "*=",
    AluOp.DIV: "/=",
    AluOp.OR: "|=",
    AluOp.AND: "&=",
    AluOp.LSH: "<<=",
    AluOp.RSH: ">>=",
    AluOp.MOD: "%=",
    AluOp.XOR: "^=",
    AluOp.MOV: "=",
    AluOp.ARSH: "s>>=",
    AluOp.SDIV: "s/=",
    AluOp.SMOD: "s%=",
    AluOp.MOVSX8: "= (s8)",
    AluOp.MOVSX16: "= (s16)",
    AluOp.MOVSX32: "= (s32)",
}
_JUMP_SYMBOLS = {
    JumpOp.EQ: "==",
    JumpOp.GT: ">",
    JumpOp.GE: ">=",
    JumpOp.SET: "&",
    JumpOp.NE: "!=",
    JumpOp.SGT: "s>",
    JumpOp.SGE: "s>=",
    JumpOp.LT: "<",
    JumpOp.LE: "<=",
    JumpOp.SLT: "s<",
    JumpOp.SLE: "s<=",
}
_ATOMIC_WORDS = {AtomicOp.ADD: "add", AtomicOp.OR: "or", AtomicOp.AND: "and", AtomicOp.XOR: "xor"}
_NOSPEC = OpCode(InstructionClass.ST | Mode.ATOMIC)


def disassemble(program: Program) -> str:
    """The listing of a program: a line for each instruction, source lines and labels before those they belong to.

    A source line reads ``; text @ file:line``, as in the verifier's log; an instruction ``slot: (opcode) text``.

    Raises:
        AsmError: ``program`` is bytes and they are no program.
    """
    instructions = decode(program) if isinstance(program, (bytes, bytearray, memoryview)) else tuple(program)
    places: dict[int, str] = {}
    slot = 0
    for ins in instructions:
        if ins.labels:
            places[slot] = ins.labels[0]
        slot += ins.slots
    lines: list[str] = []
    slot = 0
    previous: SourceLine | None = None
    for ins in instructions:
        lines += [f"{label}:" for label in ins.labels]
        if ins.source is not None and ins.source != previous:
            lines.append(f"; {ins.source.text.strip()} @ {ins.source}")
        previous = ins.source or previous
        lines.append(f"{slot:4d}: ({ins.opcode & 0xFF:02x}) {format_instruction(ins)}{_destination(ins, slot, places)}")
        slot += ins.slots
    return "".join(line + "\n" for line in lines)


def format_instruction(ins: Instruction) -> str:
    """The text of one instruction, without its number and opcode."""
    cls = ins.opcode.cls
    if cls in (InstructionClass.ALU, InstructionClass.ALU64):
        return _alu(ins, "w" if cls is InstructionClass.ALU else "r")
    if cls in (InstructionClass.JMP, InstructionClass.JMP32):
        return _flow(ins, "w" if cls is InstructionClass.JMP32 else "r")
    if cls is InstructionClass.STX and ins.opcode.mode is Mode.ATOMIC:
        return _atomic(ins)
    return _memory(ins)


def _alu(ins: Instruction, letter: str) -> str:
    op = ins.opcode.alu_op
    dst, src = f"{letter}{int(ins.dst)}", f"{letter}{int(ins.src)}"
    if op is AluOp.END:
        order = "bswap" if letter == "r" else ("be" if ins.opcode & 0x08 else "le")
        return f"r{int(ins.dst)} = {order}{ins.opcode.swap_bits} r{int(ins.dst)}"
    if op is AluOp.NEG:
        return f"{dst} = -{dst}"
    if op is AluOp.ADDR_SPACE_CAST:
        return f"{dst} = addr_space_cast({src}, {ins.imm >> 16 & 0xFFFF}, {ins.imm & 0xFFFF})"
    if op is AluOp.MOV_PERCPU:
        return f"{dst} = &(void __percpu *)({src})"
    assert op is not None
    gap = "" if op in (AluOp.MOVSX8, AluOp.MOVSX16, AluOp.MOVSX32) else " "
    return f"{dst} {_ALU_SYMBOLS[op]}{gap}{src if ins.opcode & 0x08 else ins.imm}"


def _pointer(size: Size | None, register: int, offset: int, sign: str = "u") -> str:
    assert size is not None
    return f"({sign}{8 * size.bytes} *)(r{int(register)} {offset:+d})"


def _memory(ins: Instruction) -> str:
    cls, mode, size = ins.opcode.cls, ins.opcode.mode, ins.opcode.size
    assert size is not None
    if ins.opcode == _NOSPEC:
        return "nospec"
    if cls is InstructionClass.LDX:
        return f"r{int(ins.dst)} = *{_pointer(size, ins.src, ins.offset, 's' if mode is Mode.MEMSX else 'u')}"
    if cls is InstructionClass.STX:
        return f"*{_pointer(size, ins.dst, ins.offset)} = r{int(ins.src)}"
    if cls is InstructionClass.ST:
        return f"*{_pointer(size, ins.dst, ins.offset)} = {ins.imm}"
    if mode is Mode.ABS:
        return f"r0 = *(u{8 * size.bytes} *)skb[{ins.imm}]"
    if mode is Mode.IND:
        return f"r0 = *(u{8 * size.bytes} *)skb[r{int(ins.src)} + {ins.imm}]"
    return f"r{int(ins.dst)} = {_wide(ins)}"


def _wide(ins: Instruction) -> str:
    low, high = ins.imm & 0xFFFF_FFFF, ins.imm >> 32 & 0xFFFF_FFFF
    reference = ins.reference
    if isinstance(reference, MapReference):
        return f"map[{reference.name}]"
    if isinstance(reference, MapValueReference):
        return f"map[{reference.name}][0]+{reference.offset}"
    if ins.src == WideKind.MAP_FD:
        return f"map[fd:{low}]"
    if ins.src == WideKind.MAP_VALUE:
        return f"map[fd:{low}][0]+{high}"
    if ins.src == WideKind.MAP_INDEX:
        return f"map[idx:{low}]"
    if ins.src == WideKind.MAP_INDEX_VALUE:
        return f"map[idx:{low}]+{high}"
    if ins.src == WideKind.BTF_ID:
        return f"btf[{low}]" if not high else f"btf[fd:{high}][{low}]"
    if ins.src == WideKind.FUNCTION:
        return f"subprog[{ins.target if ins.target is not None else f'{_signed(low):+d}'}]"
    return f"{ins.imm & 0xFFFF_FFFF_FFFF_FFFF:#x}"


def _atomic(ins: Instruction) -> str:
    op, size = ins.opcode.atomic_op, ins.opcode.size
    assert op is not None
    wide = "64" if size is Size.DW else ""
    src = f"r{int(ins.src)}"
    place = _pointer(size, ins.dst, ins.offset)
    if op is AtomicOp.LOAD_ACQUIRE:
        return f"r{int(ins.dst)} = load_acquire({_pointer(size, ins.src, ins.offset)})"
    if op is AtomicOp.STORE_RELEASE:
        return f"store_release({place}, {src})"
    if op is AtomicOp.XCHG:
        return f"{src} = atomic{wide}_xchg({place}, {src})"
    if op is AtomicOp.CMPXCHG:
        return f"r0 = atomic{wide}_cmpxchg({place}, r0, {src})"
    if op in _ATOMIC_WORDS:
        return f"lock *{place} {_ALU_SYMBOLS[AluOp(op)]} {src}"
    return f"{src} = atomic{wide}_fetch_{_ATOMIC_WORDS[AtomicOp(op & ~1)]}({place}, {src})"


def _flow(ins: Instruction, letter: str) -> str:
    op = ins.opcode.jump_op
    by_register = bool(ins.opcode & 0x08)
    if op is JumpOp.EXIT:
        return "exit"
    if op is JumpOp.CALL:
        return f"callx r{int(ins.dst)}" if by_register else f"call {_callee(ins)}"
    if op is JumpOp.JA and by_register:
        return f"gotox r{int(ins.dst)}"
    if op is JumpOp.JA and letter == "w":
        return f"gotol {ins.target if ins.target is not None else f'pc{ins.imm:+d}'}"
    place = ins.target if ins.target is not None else f"pc{ins.offset:+d}"
    if op is JumpOp.JA:
        return f"goto {place}"
    if op is JumpOp.JCOND:
        return f"may_goto {place}"
    assert op is not None
    operand = f"{letter}{int(ins.src)}" if by_register else f"{ins.imm & 0xFFFF_FFFF:#x}"
    return f"if {letter}{int(ins.dst)} {_JUMP_SYMBOLS[op]} {operand} goto {place}"


def _callee(ins: Instruction) -> str:
    if isinstance(ins.reference, KfuncReference):
        return ins.reference.name
    if ins.src == CallKind.KFUNC:
        return f"kernel-function#{ins.imm}"
    if ins.src == CallKind.FUNCTION:
        return ins.target if ins.target is not None else f"pc{ins.imm:+d}"
    return f"{helper_name(ins.imm) or 'unknown'}#{ins.imm}"


def _destination(ins: Instruction, slot: int, places: Mapping[int, str]) -> str:
    """`` <label>`` behind what goes to a labelled instruction by number."""
    if ins.target is not None or not places:
        return ""
    if ins.opcode.is_jump and ins.opcode.jump_op not in (JumpOp.CALL, JumpOp.EXIT):
        distance = ins.imm if ins.opcode == GOTO_LONG else ins.offset
    elif ins.call_kind is CallKind.FUNCTION:
        distance = ins.imm
    elif ins.wide_kind is WideKind.FUNCTION:
        distance = _signed(ins.imm & 0xFFFF_FFFF)
    else:
        return ""
    label = places.get(slot + 1 + distance)
    return f" <{label}>" if label is not None else ""


def _signed(value: int) -> int:
    return (value ^ 0x8000_0000) - 0x8000_0000

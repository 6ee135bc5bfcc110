"""What an instruction reads: to say after the fact why Python could not do it."""

from __future__ import annotations

from pybpf.asm import AluOp, AtomicOp, Instruction, InstructionClass, JumpOp, OperandSource
from pybpf.vm.templates import M64, Registers


def operand_registers(ins: Instruction) -> tuple[int, ...]:
    """The numbers of the registers an instruction reads."""
    opcode = ins.opcode
    if opcode.is_alu:
        source = (ins.src,) if opcode.source is OperandSource.X and opcode.alu_op is not AluOp.END else ()
        return source if opcode & 0xF0 == AluOp.MOV else (ins.dst, *source)
    if opcode.is_jump:
        if opcode.jump_op is JumpOp.EXIT:
            return (0,)
        source = (ins.src,) if opcode.source is OperandSource.X else ()
        return (ins.dst, *source)
    if opcode.cls is InstructionClass.LDX or opcode.atomic_op is AtomicOp.LOAD_ACQUIRE:
        return (ins.src,)
    if opcode.cls is InstructionClass.STX:
        return (ins.dst, ins.src, 0) if opcode.atomic_op is AtomicOp.CMPXCHG else (ins.dst, ins.src)
    return (ins.src,) if opcode.cls is InstructionClass.LD else (ins.dst,)


def wanted_memory(ins: Instruction, registers: Registers) -> tuple[int, int, bool]:
    """The address and the size of a load or a store, and whether it writes."""
    size = ins.opcode.size
    loads = ins.opcode.cls is InstructionClass.LDX or ins.opcode.atomic_op is AtomicOp.LOAD_ACQUIRE
    base = registers[ins.src if loads else ins.dst]
    return (base + ins.offset) & M64, size.bytes if size is not None else 0, not loads

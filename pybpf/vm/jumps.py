"""Jumps and comparisons: RFC 9669, section 4.3, and Linux's may_goto and gotox."""

from __future__ import annotations

from pybpf.asm import Instruction, InstructionClass, JumpOp, OperandSource
from pybpf.vm.fault import FaultKind, Trap
from pybpf.vm.templates import M32, M64, Operation, Registers, factory

NOWHERE = -1
"""The slot of a target outside of the program, or inside of an instruction."""

# EQ and NE compute instead of comparing, so that a register never written is noticed.
_CONDITIONS = {
    JumpOp.EQ: "not a ^ b",
    JumpOp.NE: "a ^ b",
    JumpOp.SET: "a & b",
    JumpOp.GT: "a > b",
    JumpOp.GE: "a >= b",
    JumpOp.LT: "a < b",
    JumpOp.LE: "a <= b",
    JumpOp.SGT: "(a ^ S) > (b ^ S)",
    JumpOp.SGE: "(a ^ S) >= (b ^ S)",
    JumpOp.SLT: "(a ^ S) < (b ^ S)",
    JumpOp.SLE: "(a ^ S) <= (b ^ S)",
}


def comparison(ins: Instruction, after: int, target: int) -> Operation:
    """The operation of a conditional jump to slot ``target``, or on to ``after``."""
    op = ins.opcode.jump_op
    assert op is not None
    wide = ins.opcode.cls is InstructionClass.JMP
    first, second, sign = ("r[d]", "r[s]", "S64") if wide else ("(r[d] & M32)", "(r[s] & M32)", "S32")
    words = {"a": first, "b": second if ins.opcode.source is OperandSource.X else "k", "S": sign}
    condition = _CONDITIONS[op].replace("(", "( ").replace(")", " )")
    body = " ".join(words.get(word, word) for word in condition.split())
    make = factory(f"return t if {body} else n", "d", "s", "k", "n", "t")
    return checked(make(ins.dst, ins.src, ins.imm & (M64 if wide else M32), after, target), target)


def jump(target: int) -> Operation:
    """The operation of a jump without condition."""
    return checked(factory("return t", "t")(target), target)


def may_goto(budget: list[int], after: int, target: int) -> Operation:
    """Jump once the last element of ``budget`` (one for each frame) is used up; Linux 6.9."""

    def operation(r: Registers) -> int:
        if not budget[-1]:
            return target
        budget[-1] -= 1
        return after

    return checked(operation, target)


def checked(operation: Operation, target: int) -> Operation:
    """The same operation; when ``target`` is nowhere, going there is a fault."""
    if target != NOWHERE:
        return operation

    def guarded(r: Registers) -> int:
        slot = operation(r)
        if slot == NOWHERE:
            raise Trap(FaultKind.BAD_JUMP)
        return slot

    return guarded

"""Arithmetic: RFC 9669, section 4.1. Division by zero gives 0, the remainder of it the dividend; shifts wrap."""

from __future__ import annotations

import sys

from pybpf.asm import AluOp, Instruction, InstructionClass, OperandSource
from pybpf.vm.fault import FaultKind, Trap
from pybpf.vm.templates import M32, M64, Operation, factory, signed

# a and b are the operands, cut to the width; M its mask, S its sign bit, W its bits minus one.
_EXPRESSIONS = {
    AluOp.ADD: "a + b & M",
    AluOp.SUB: "a - b & M",
    AluOp.MUL: "a * b & M",
    AluOp.DIV: "a // b if b else a & 0",
    AluOp.MOD: "a % b if b else a",
    AluOp.OR: "a | b",
    AluOp.AND: "a & b",
    AluOp.XOR: "a ^ b",
    AluOp.LSH: "a << (b & W) & M",
    AluOp.RSH: "a >> (b & W)",
    AluOp.ARSH: "(a ^ S) - S >> (b & W) & M",
    AluOp.NEG: "-a & M",
    AluOp.MOV: "b + 0",
    AluOp.MOVSX8: "(b & 0xFF ^ 0x80) - 0x80 & M",
    AluOp.MOVSX16: "(b & 0xFFFF ^ 0x8000) - 0x8000 & M",
    AluOp.MOVSX32: "(b & M32 ^ S32) - S32 & M",
    AluOp.SDIV: "quotient(a, b, W + 1) & M",
    AluOp.SMOD: "remainder(a, b, W + 1) & M",
}


def arithmetic(ins: Instruction, after: int) -> Operation:
    """The operation of an arithmetic instruction, which goes on at slot ``after``.

    Raises:
        Trap: it moves pointers between address spaces or CPUs, which only the kernel has.
    """
    op = ins.opcode.alu_op
    wide = ins.opcode.cls is InstructionClass.ALU64
    if op is AluOp.END:
        return _swap(ins, after, wide)
    if op not in _EXPRESSIONS:
        assert op is not None
        raise Trap(FaultKind.UNKNOWN_OPCODE, f"{op.name.lower()} needs the kernel's address spaces")
    register = ins.opcode.source is OperandSource.X
    first, second, mask, sign, width = ("r[d]", "r[s]", "M64", "S64", "63")
    if not wide:
        first, second, mask, sign, width = ("(r[d] & M32)", "(r[s] & M32)", "M32", "S32", "31")
    words = {"a": first, "b": second if register else "k", "M": mask, "S": sign, "W": width}
    # A template's words stand alone between blanks and brackets.
    expression = _EXPRESSIONS[op]
    for bracket in "()-,":
        expression = expression.replace(bracket, f" {bracket} ")
    body = " ".join(words.get(word, word) for word in expression.split())
    make = factory(f"r[d] = {body}\nreturn n", "d", "s", "k", "n", "quotient", "remainder")
    return make(ins.dst, ins.src, ins.imm & (M64 if wide else M32), after, _quotient, _remainder)


def _swap(ins: Instruction, after: int, unconditional: bool) -> Operation:
    bits = ins.opcode.swap_bits
    assert bits is not None
    target = "big" if ins.opcode.source is OperandSource.X else "little"
    if not unconditional and target == sys.byteorder:
        return factory("r[d] = r[d] & k\nreturn n", "d", "k", "n")(ins.dst, (1 << bits) - 1, after)
    body = 'r[d] = from_bytes((r[d] & k).to_bytes(size, "little"), "big")\nreturn n'
    make = factory(body, "d", "k", "n", "size", "from_bytes")
    return make(ins.dst, (1 << bits) - 1, after, bits // 8, int.from_bytes)


def _quotient(first: int, second: int, bits: int) -> int:
    a, b = signed(first, bits), signed(second, bits)
    if b == 0:
        return 0
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(first: int, second: int, bits: int) -> int:
    a, b = signed(first, bits), signed(second, bits)
    if b == 0:
        return a
    return abs(a) % abs(b) * (-1 if a < 0 else 1)

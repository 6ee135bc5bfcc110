"""Integers: how they compute, and how they convert.

An integer in a register has 64 bits and is unsigned (u64, bool) or signed (s64); fields widen to that when they are
read. A constant has no width: constants compute among themselves as in Python, and count modulo 2**64 as soon as they
meet an integer in a register. The rules, which ``docs/pybpf/language.md`` lists for users:

- ``+ - * & | ^``: modulo 2**64; signed if one of the two is signed, a constant counting as neither.
- ``<< >>``: signed as the left side, and so is the shift to the right; a negative constant counts as signed. The count
  is taken modulo 64 as the processor does; a constant count outside of 0 to 63 is an error.
- ``// %``: unsigned; a divisor of zero gives 0 and the dividend (RFC 9669, 4.1). Signed only by constant powers of two,
  rounding down as Python does.
- ``-x`` is signed, ``~x`` as ``x``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pybpf.asm import AluOp, JumpOp
from pybpf.lang import ir
from pybpf.lang.lower import constants, memory
from pybpf.lang.values import BOOL, S64, U64, Number, Static
from pybpf.types import Scalar

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

_ALU: dict[type[ast.operator], AluOp] = {
    ast.Add: AluOp.ADD,
    ast.Sub: AluOp.SUB,
    ast.Mult: AluOp.MUL,
    ast.FloorDiv: AluOp.DIV,
    ast.Mod: AluOp.MOD,
    ast.BitOr: AluOp.OR,
    ast.BitAnd: AluOp.AND,
    ast.BitXor: AluOp.XOR,
    ast.LShift: AluOp.LSH,
    ast.RShift: AluOp.RSH,
}
_COMMUTATIVE = frozenset({AluOp.ADD, AluOp.MUL, AluOp.OR, AluOp.AND, AluOp.XOR})
_SHIFTS = frozenset({AluOp.LSH, AluOp.RSH})
_DIVISIONS = frozenset({AluOp.DIV, AluOp.MOD})
_ALL_ONES = (1 << 64) - 1


def arithmetic(
    lo: Lowering, node: ast.AST, op: ast.operator, left: Number | Static, right: Number | Static
) -> Number | Static:
    """``left op right``."""
    if isinstance(left, Static) and isinstance(right, Static):
        return constants.binary(lo, node, op, left.value, right.value)
    if isinstance(op, ast.Div):
        lo.error(node, "BPF has no floating point, so no true division", hint="use // for the integer quotient")
    alu = _ALU.get(type(op))
    if alu is None:
        hint = "multiply, or shift: 1 << n" if isinstance(op, ast.Pow) else None
        lo.error(node, f"the operator {type(op).__name__} is not in the language", hint)
    if isinstance(left, Static) and alu in _COMMUTATIVE:
        left, right = right, left
    if alu in _SHIFTS:
        return _shift(lo, node, alu, left, right)
    signed = any(isinstance(side, Number) and side.signed for side in (left, right))
    if alu in _DIVISIONS:
        return _division(lo, node, alu, left, right, signed=signed)
    kind = S64 if signed else U64
    if isinstance(right, Static):
        factor = right.value & _ALL_ONES
        if alu is AluOp.MUL and factor and not factor & (factor - 1):
            return _emit(lo, AluOp.LSH, left, Static(factor.bit_length() - 1), kind)
        if alu is AluOp.AND and factor == 0xFFFFFFFF:
            register = lo.register()
            lo.emit(ir.Extend(register, [memory.in_register(lo, left)], bits=32))
            return Number(register, kind)
    elif isinstance(left, Static):
        # c - x is shorter as -x + c
        negated = lo.register()
        lo.emit(ir.Negate(negated, [right.register]))
        return _emit(lo, AluOp.ADD, Number(negated, kind), left, kind)
    return _emit(lo, alu, left, right, kind)


def _emit(lo: Lowering, alu: AluOp, left: Number | Static, right: Number | Static, kind: Scalar) -> Number:
    register = lo.register()
    lo.emit(ir.Alu(register, [memory.in_register(lo, left), memory.operand(right)], op=alu))
    return Number(register, kind)


def scaled(lo: Lowering, index: Number, step: int) -> Number:
    """``index * step``."""
    if step == 1:
        return index
    if not step & (step - 1):
        return _emit(lo, AluOp.LSH, index, Static(step.bit_length() - 1), index.type)
    return _emit(lo, AluOp.MUL, index, Static(step), index.type)


def _shift(lo: Lowering, node: ast.AST, alu: AluOp, left: Number | Static, right: Number | Static) -> Number:
    if isinstance(right, Static) and not 0 <= right.value < 64:
        lo.error(node, f"a shift by {right.value}: there are 64 bits", hint="shift by 0 to 63")
    signed = left.signed if isinstance(left, Number) else left.value < 0
    if alu is AluOp.RSH and isinstance(left, Static) and not -(1 << 63) <= left.value <= _ALL_ONES:
        lo.error(node, f"{left.value} has more than 64 bits", hint=f"u64({left.value})")
    if alu is AluOp.RSH and signed:
        alu = AluOp.ARSH
    return _emit(lo, alu, left, right, S64 if signed else U64)


def _division(
    lo: Lowering, node: ast.AST, alu: AluOp, left: Number | Static, right: Number | Static, *, signed: bool
) -> Number | Static:
    kind = S64 if signed else U64
    quotient = alu is AluOp.DIV
    if isinstance(right, Static):
        divisor = right.value
        if divisor <= 0:
            lo.error(node, f"division by {divisor}", hint="the divisor is a positive integer")
        if not divisor & (divisor - 1) and divisor <= 1 << 63:
            if not quotient:
                return _emit(lo, AluOp.AND, left, Static(divisor - 1), kind)
            return _emit(lo, AluOp.ARSH if signed else AluOp.RSH, left, Static(divisor.bit_length() - 1), kind)
        if divisor > _ALL_ONES and not signed and isinstance(left, Number):
            return Static(0) if quotient else left
    if signed:
        lo.error(
            node,
            "division of signed integers rounds differently in C and in Python",
            hint="divide u64 values: u64(x) // n; or by a constant power of two",
        )
    if isinstance(left, Static) and not 0 <= left.value <= _ALL_ONES:
        lo.error(node, f"{left.value} is no u64, so it cannot be divided by one", hint=f"u64({left.value})")
    return _emit(lo, alu, left, right, kind)


def unary(lo: Lowering, node: ast.UnaryOp, value: Number | Static) -> Number | Static:
    """``-value``, ``+value`` or ``~value``."""
    if isinstance(value, Static):
        return constants.unary(node.op, value.value)
    if isinstance(node.op, ast.UAdd):
        return value
    if isinstance(node.op, ast.Invert):
        return _emit(lo, AluOp.XOR, value, Static(-1), S64 if value.signed else U64)
    return negated(lo, value)


def negated(lo: Lowering, value: Number | Static) -> Number | Static:
    """``-value``."""
    if isinstance(value, Static):
        return Static(-value.value)
    register = lo.register()
    lo.emit(ir.Negate(register, [value.register]))
    return Number(register, S64)


def convert(
    lo: Lowering, node: ast.AST, kind: Scalar, value: Number | Static, *, explicit: bool = True
) -> Number | Static:
    """``value`` cut to the width of ``kind`` and extended by its rules, as in C; a bool is whether it is not zero.

    Unless the conversion is ``explicit``, a constant that fits ``kind`` neither as signed nor as unsigned is an error.
    """
    if kind.big_endian:
        lo.error(node, f"{kind.name} describes memory, not numbers", hint="use it for fields; values are in host order")
    if isinstance(value, Static):
        if not explicit:
            fitting(lo, node, kind, value.value)
        return Static(bool(value.value) if kind.name == "bool" else kind.wrap(value.value))
    if kind.name == "bool":
        return truth(lo, value)
    if kind.size == 8 or value.type is BOOL:
        return Number(value.register, memory.number_type(kind))
    register = lo.register()
    lo.emit(ir.Extend(register, [value.register], bits=8 * kind.size, signed=kind.signed))
    return Number(register, memory.number_type(kind))


def fitting(lo: Lowering, node: ast.AST, kind: Scalar, value: int) -> int:
    """``value``, which must be one that the bits of ``kind`` can stand for, as a signed or an unsigned integer."""
    bits = 8 * kind.size
    if kind.name != "bool" and not -(1 << (bits - 1)) <= value < 1 << bits:
        lo.error(node, f"{value} does not fit {kind.name}", hint=f"cut it: {kind.name.removesuffix('be')}({value})")
    return value


def truth(lo: Lowering, value: Number) -> Number:
    """0 or 1: whether ``value`` is not zero."""
    if value.type is BOOL:
        return value
    zero, after = lo.new_block("zero"), lo.new_block("joined")
    result = lo.move(1, "truth")
    lo.emit(ir.Branch(None, [value.register, 0], op=JumpOp.NE, then=after, otherwise=zero))
    lo.start(zero)
    lo.emit(ir.Move(result, [0]))
    lo.goto(after)
    lo.start(after)
    return Number(result, BOOL)

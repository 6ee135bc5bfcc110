"""Comparisons of integers.

Signed if one of the two is signed, else unsigned; a constant counts as neither, and one that the other side can never
reach decides the comparison while compiling, as it would in Python.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pybpf.asm import JumpOp
from pybpf.lang import ir
from pybpf.lang.lower import constants, memory
from pybpf.lang.lower.flow import Outcomes
from pybpf.lang.values import S64, U64, Number, Static

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

COMPARE: dict[type[ast.cmpop], tuple[JumpOp, JumpOp]] = {
    ast.Eq: (JumpOp.EQ, JumpOp.EQ),
    ast.NotEq: (JumpOp.NE, JumpOp.NE),
    ast.Lt: (JumpOp.LT, JumpOp.SLT),
    ast.LtE: (JumpOp.LE, JumpOp.SLE),
    ast.Gt: (JumpOp.GT, JumpOp.SGT),
    ast.GtE: (JumpOp.GE, JumpOp.SGE),
}
"""The jump for unsigned and for signed integers."""

_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}


def known(lo: Lowering, truth: bool, yes: ir.Block, no: ir.Block) -> Outcomes:
    """The outcomes of a condition that is decided while compiling."""
    lo.goto(yes if truth else no)
    return Outcomes(lo.flow, None) if truth else Outcomes(None, lo.flow)


def compare(
    lo: Lowering,
    node: ast.expr,
    op: ast.cmpop,
    left: Number | Static,
    right: Number | Static,
    yes: ir.Block,
    no: ir.Block,
) -> Outcomes:
    """``left op right``."""
    if isinstance(left, Static):
        if isinstance(right, Static):
            return known(lo, constants.compare(lo, node, op, left.value, right.value), yes, no)
        left, right, op = right, left, _MIRRORED[type(op)]()
    signed = left.signed or (isinstance(right, Number) and right.signed)
    if isinstance(right, Static):
        kind = S64 if signed else U64
        if right.value < 0 and not signed:
            lo.error(node, f"an unsigned integer is never {right.value}", hint="declare the value signed: s64(x)")
        if not kind.minimum <= right.value <= kind.maximum:
            inside = 0  # any value of the type lies on the same side
            return known(lo, constants.compare(lo, node, op, inside, right.value), yes, no)
    jump = COMPARE[type(op)][signed]
    lo.emit(ir.Branch(None, [left.register, memory.operand(right)], op=jump, then=yes, otherwise=no))
    if lo.flow is None:
        return Outcomes(None, None)
    return Outcomes(lo.flow.copy(), lo.flow.copy())

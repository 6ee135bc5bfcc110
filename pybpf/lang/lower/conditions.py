"""Conditions: straight to branches, with what each outcome proves about None."""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from pybpf.asm import JumpOp
from pybpf.lang import ir
from pybpf.lang.lower import expressions, memory
from pybpf.lang.lower.state import Flow, merge
from pybpf.lang.values import Number, Pointer, Static, Value, kind_of
from pybpf.types import Scalar

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

COMPARE: dict[type[ast.cmpop], tuple[Callable[[Any, Any], bool], JumpOp, JumpOp]] = {
    ast.Eq: (operator.eq, JumpOp.EQ, JumpOp.EQ),
    ast.NotEq: (operator.ne, JumpOp.NE, JumpOp.NE),
    ast.Lt: (operator.lt, JumpOp.LT, JumpOp.SLT),
    ast.LtE: (operator.le, JumpOp.LE, JumpOp.SLE),
    ast.Gt: (operator.gt, JumpOp.GT, JumpOp.SGT),
    ast.GtE: (operator.ge, JumpOp.GE, JumpOp.SGE),
}
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}


@dataclass(frozen=True)
class Outcomes:
    """What holds when a condition is true and when it is false; None: that never happens."""

    when_true: Flow | None
    when_false: Flow | None


def joined(outcomes: Outcomes) -> Flow | None:
    """What holds after a condition, whatever its outcome."""
    return merge(outcomes.when_true, outcomes.when_false)


def condition(lo: Lowering, node: ast.expr, yes: ir.Block, no: ir.Block) -> Outcomes:
    """End the current block with jumps to ``yes`` or ``no``; constants choose while compiling."""
    lo.at(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        flipped = condition(lo, node.operand, no, yes)
        return Outcomes(flipped.when_false, flipped.when_true)
    if isinstance(node, ast.BoolOp):
        return _bool_op(lo, node, list(node.values), yes, no)
    if isinstance(node, ast.Compare):
        return _comparison(lo, node, yes, no)
    value = expressions.expression(lo, node)
    return _truthiness(lo, node, value, yes, no)


def _known(lo: Lowering, truth: bool, yes: ir.Block, no: ir.Block) -> Outcomes:
    lo.goto(yes if truth else no)
    flow = lo.flow
    return Outcomes(flow, None) if truth else Outcomes(None, flow)


def _bool_op(lo: Lowering, node: ast.BoolOp, parts: list[ast.expr], yes: ir.Block, no: ir.Block) -> Outcomes:
    if len(parts) == 1:
        return condition(lo, parts[0], yes, no)
    conjunction = isinstance(node.op, ast.And)
    middle = lo.new_block("and" if conjunction else "or")
    first = condition(lo, parts[0], middle if conjunction else yes, no if conjunction else middle)
    goes_on = first.when_true if conjunction else first.when_false
    if goes_on is None:
        return first
    lo.start(middle)
    lo.flow = goes_on
    rest = _bool_op(lo, node, parts[1:], yes, no)
    if conjunction:
        return Outcomes(rest.when_true, merge(first.when_false, rest.when_false))
    return Outcomes(merge(first.when_true, rest.when_true), rest.when_false)


def _truthiness(lo: Lowering, node: ast.expr, value: Value, yes: ir.Block, no: ir.Block) -> Outcomes:
    if isinstance(value, Static):
        return _known(lo, bool(value.value), yes, no)
    if isinstance(value, Pointer) and (value.nullable or not isinstance(value.target, Scalar)):
        if isinstance(value.target, Scalar):
            lo.error(node, "unclear: is this a test for None or for zero?", hint="write `is not None`")
        return _null_test(lo, node, value, no, yes, swap=True)
    number = memory.integer(lo, node, value)
    if isinstance(number, Static):
        return _known(lo, bool(number.value), yes, no)
    lo.emit(ir.Branch(None, [number.register, 0], op=JumpOp.NE, then=yes, otherwise=no))
    return Outcomes(_copy(lo), _copy(lo))


def _copy(lo: Lowering) -> Flow | None:
    return lo.flow.copy() if lo.flow is not None else None


def _null_test(
    lo: Lowering, node: ast.expr, pointer: Pointer, if_null: ir.Block, if_set: ir.Block, *, swap: bool
) -> Outcomes:
    """A test against None; ``swap``: the true outcome is "not None"."""
    if not pointer.nullable:
        return _known(lo, swap, if_set if swap else if_null, if_null if swap else if_set)
    base = memory.address(lo, pointer)
    if swap:
        lo.emit(ir.Branch(None, [base, 0], op=JumpOp.NE, then=if_set, otherwise=if_null))
    else:
        lo.emit(ir.Branch(None, [base, 0], op=JumpOp.EQ, then=if_null, otherwise=if_set))
    null, present = _copy(lo), _copy(lo)
    name = node.target.id if isinstance(node, ast.NamedExpr) else node.id if isinstance(node, ast.Name) else None
    variable = lo.frame.variables.get(name) if name else None
    if variable is not None and present is not None:
        present.nonnull.add(variable)
    return Outcomes(present, null) if swap else Outcomes(null, present)


def _comparison(lo: Lowering, node: ast.Compare, yes: ir.Block, no: ir.Block) -> Outcomes:
    """``a < b <= c``: each operand is evaluated once, and only as far as the comparison goes."""
    left = expressions.expression(lo, node.left)
    failures: list[Flow | None] = []
    left_node = node.left
    for index, (op, right_node) in enumerate(zip(node.ops, node.comparators)):
        right = expressions.expression(lo, right_node)
        last = index == len(node.ops) - 1
        following = yes if last else lo.new_block("and")
        outcomes = _one_comparison(lo, node, op, (left_node, left), (right_node, right), following, no)
        failures.append(outcomes.when_false)
        if last or outcomes.when_true is None:
            return Outcomes(outcomes.when_true, merge(*failures))
        lo.start(following)
        lo.flow = outcomes.when_true
        left_node, left = right_node, right
    raise AssertionError("a comparison has at least one operator")


def _one_comparison(
    lo: Lowering,
    node: ast.Compare,
    op: ast.cmpop,
    left_side: tuple[ast.expr, Value],
    right_side: tuple[ast.expr, Value],
    yes: ir.Block,
    no: ir.Block,
) -> Outcomes:
    (left_node, left), (right_node, right) = left_side, right_side
    if isinstance(op, (ast.Is, ast.IsNot)):
        return _identity(lo, left_node, left, right, isinstance(op, ast.IsNot), yes, no)
    if isinstance(op, (ast.In, ast.NotIn)):
        return _membership(lo, left_node, left, right, isinstance(op, ast.NotIn), yes, no)
    if type(op) not in COMPARE:
        lo.error(node, f"the comparison {type(op).__name__} is not in the language")
    if isinstance(left, Static) and isinstance(right, Static):
        return _known(lo, COMPARE[type(op)][0](left.value, right.value), yes, no)
    return compare(lo, node, op, memory.integer(lo, left_node, left), memory.integer(lo, right_node, right), yes, no)


def compare(
    lo: Lowering,
    node: ast.expr,
    op: ast.cmpop,
    left: Number | Static,
    right: Number | Static,
    yes: ir.Block,
    no: ir.Block,
) -> Outcomes:
    """``left op right`` on 64 bits: signed if either side is."""
    kind = type(op)
    if isinstance(left, Static):
        left, right, kind = right, left, _MIRRORED[kind]
    if isinstance(left, Static):
        return _known(lo, COMPARE[kind][0](left.value, memory.operand(right)), yes, no)
    signed = left.signed or (isinstance(right, Number) and right.signed)
    if isinstance(right, Static) and right.value < 0 and not signed:
        lo.error(node, f"an unsigned integer is never {right.value}", hint="declare the value signed: s64(x)")
    _, unsigned_op, signed_op = COMPARE[kind]
    jump = signed_op if signed else unsigned_op
    lo.emit(ir.Branch(None, [left.register, memory.operand(right)], op=jump, then=yes, otherwise=no))
    return Outcomes(_copy(lo), _copy(lo))


def _identity(
    lo: Lowering, node: ast.expr, left: Value, right: Value, negated: bool, yes: ir.Block, no: ir.Block
) -> Outcomes:
    if isinstance(left, Static) and isinstance(right, Static):
        return _known(lo, (left.value is right.value) is not negated, yes, no)
    if not (isinstance(right, Static) and right.value is None):
        lo.error(node, "`is` compares with None only", hint="use == for integers")
    if isinstance(left, Pointer):
        if negated:
            return _null_test(lo, node, left, no, yes, swap=True)
        return _null_test(lo, node, left, yes, no, swap=False)
    if isinstance(left, Number):
        return _known(lo, negated, yes, no)
    lo.error(node, f"{kind_of(left)} cannot be compared with None")


def _membership(
    lo: Lowering, node: ast.expr, left: Value, right: Value, negated: bool, yes: ir.Block, no: ir.Block
) -> Outcomes:
    if not (isinstance(right, Static) and isinstance(right.value, (tuple, list, set, frozenset, range))):
        lo.error(node, "`in` needs a constant tuple", hint="look the value up in a map")
    number = memory.integer(lo, node, left)
    if isinstance(number, Static):
        return _known(lo, (number.value in right.value) is not negated, yes, no)
    hit, miss = (no, yes) if negated else (yes, no)
    members = sorted(int(item) for item in right.value)
    if not members:
        return _known(lo, negated, yes, no)
    for index, member in enumerate(members):
        following = miss if index == len(members) - 1 else lo.new_block("in")
        compare(lo, node, ast.Eq(), number, Static(member), hit, following)
        if following is not miss:
            lo.start(following)
    return Outcomes(_copy(lo), _copy(lo))

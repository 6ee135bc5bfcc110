"""Conditions: straight to branches, with what each outcome proves about None."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, cast

from pybpf.asm import JumpOp
from pybpf.lang import ir
from pybpf.lang.lower import calls, constants, expressions, memory, records
from pybpf.lang.lower.comparisons import COMPARE, compare, known
from pybpf.lang.lower.flow import Flow, Outcomes, merge
from pybpf.lang.values import Number, Pointer, Static, Value, kind_of
from pybpf.types import Scalar

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering


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
        return known(lo, constants.truth(lo, node, value.value), yes, no)
    if isinstance(value, Pointer) and (value.nullable or not isinstance(value.target, Scalar)):
        if isinstance(value.target, Scalar):
            lo.error(node, "unclear: is this a test for None or for zero?", hint="write `is not None`")
        return _null_test(lo, node, value, no, yes, swap=True)
    number = memory.integer(lo, node, value)
    return compare(lo, node, ast.NotEq(), number, Static(0), yes, no)


def _null_test(
    lo: Lowering, node: ast.expr, pointer: Pointer, if_null: ir.Block, if_set: ir.Block, *, swap: bool
) -> Outcomes:
    """A test against None; ``swap``: the true outcome is "not None"."""
    if not pointer.nullable:
        return known(lo, swap, if_set if swap else if_null, if_null if swap else if_set)
    base = memory.address(lo, pointer)
    if swap:
        lo.emit(ir.Branch(None, [base, 0], op=JumpOp.NE, then=if_set, otherwise=if_null))
    else:
        lo.emit(ir.Branch(None, [base, 0], op=JumpOp.EQ, then=if_null, otherwise=if_set))
    flow = cast("Flow", lo.flow)
    null, present = flow.copy(), flow.copy()
    name = node.target.id if isinstance(node, ast.NamedExpr) else node.id if isinstance(node, ast.Name) else None
    variable = lo.frame.variables.get(name) if name else None
    if variable is not None:
        present.nonnull.add(variable)
    records.tested(present, pointer)
    return Outcomes(present, null) if swap else Outcomes(null, present)


def _comparison(lo: Lowering, node: ast.Compare, yes: ir.Block, no: ir.Block) -> Outcomes:
    """``a < b <= c``: each operand is evaluated once, and only as far as the comparison goes."""
    sides = [node.left, *node.comparators]
    left = _side(lo, node, 0)
    failures: list[Flow | None] = []
    for index, op in enumerate(node.ops):
        right = Static(None) if _is_range(op, sides[index + 1]) else _side(lo, node, index + 1)
        last = index == len(node.ops) - 1
        following = yes if last else lo.new_block("and")
        outcomes = _one_comparison(lo, op, (sides[index], left), (sides[index + 1], right), following, no)
        failures.append(outcomes.when_false)
        if last or outcomes.when_true is None:
            return Outcomes(outcomes.when_true, merge(*failures))
        lo.start(following)
        lo.flow = outcomes.when_true
        left = right
    raise AssertionError("a comparison has at least one operator")


def _side(lo: Lowering, node: ast.Compare, index: int) -> Value:
    """Evaluate one operand, and keep it from what the operands after it may do."""
    place = (node.left, *node.comparators)[index]
    value = expressions.expression(lo, place)
    compared = node.ops[max(index - 1, 0) : index + 1]
    if not all(isinstance(op, (ast.Is, ast.IsNot)) for op in compared):
        value = memory.read(lo, place, value)
    return lo.settled(value) if any(map(expressions.assigns, node.comparators[index:])) else value


def _is_range(op: ast.cmpop, node: ast.expr) -> bool:
    return (
        isinstance(op, (ast.In, ast.NotIn))
        and isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "range"
    )


def _one_comparison(
    lo: Lowering,
    op: ast.cmpop,
    left_side: tuple[ast.expr, Value],
    right_side: tuple[ast.expr, Value],
    yes: ir.Block,
    no: ir.Block,
) -> Outcomes:
    (left_node, left), (right_node, right) = left_side, right_side
    if isinstance(op, (ast.Is, ast.IsNot)):
        return _identity(lo, left_side, right_side, isinstance(op, ast.IsNot), yes, no)
    if _is_range(op, right_node):
        lo.error(right_node, "`in` needs constants here", hint="write low <= x < high")
    if isinstance(op, (ast.In, ast.NotIn)):
        return _membership(lo, left_side, right_side, isinstance(op, ast.NotIn), yes, no)
    if type(op) not in COMPARE:
        lo.error(left_node, f"the comparison {type(op).__name__} is not in the language")
    if isinstance(left, Static) and isinstance(right, Static):
        return known(lo, constants.compare(lo, left_node, op, left.value, right.value), yes, no)
    for side, other in ((left, right), (right, left)):
        if isinstance(side, Static) and side.value is None:
            lo.error(left_node, f"{kind_of(other)} is compared with None", hint="write `is None` or `is not None`")
    numbers = [memory.integer(lo, place, value) for place, value in (left_side, right_side)]
    return compare(lo, left_node, op, numbers[0], numbers[1], yes, no)


def _identity(
    lo: Lowering,
    left_side: tuple[ast.expr, Value],
    right_side: tuple[ast.expr, Value],
    negated: bool,
    yes: ir.Block,
    no: ir.Block,
) -> Outcomes:
    (node, left), (right_node, right) = left_side, right_side
    if isinstance(left, Static) and left.value is None and not isinstance(right, Static):
        node, left, right = right_node, right, left
    if not (isinstance(right, Static) and right.value is None):
        lo.error(node, "`is` compares with None only", hint="use == for integers")
    if isinstance(left, Pointer):
        if negated:
            return _null_test(lo, node, left, no, yes, swap=True)
        return _null_test(lo, node, left, yes, no, swap=False)
    if isinstance(left, Static):
        return known(lo, (left.value is None) is not negated, yes, no)
    if isinstance(left, Number):
        return known(lo, negated, yes, no)
    lo.error(node, f"{kind_of(left)} cannot be compared with None")


def _membership(
    lo: Lowering,
    left_side: tuple[ast.expr, Value],
    right_side: tuple[ast.expr, Value],
    negated: bool,
    yes: ir.Block,
    no: ir.Block,
) -> Outcomes:
    (node, left), (right_node, right) = left_side, right_side
    if not isinstance(right, Static) or calls.is_map(right.value):
        lo.error(right_node, "`in` needs a constant tuple", hint="self.map.lookup(key) is not None")
    members = constants.members(lo, right_node, right.value)
    wrong = next((member for member in members if not isinstance(member, int)), None)
    if wrong is not None:
        lo.error(right_node, f"`in` looks for integers, {wrong!r} is none")
    number = memory.integer(lo, node, left)
    if isinstance(number, Static) or not members:
        return known(lo, (number.value in members if isinstance(number, Static) else False) is not negated, yes, no)
    hit, miss = (no, yes) if negated else (yes, no)
    hits: list[Flow | None] = []
    for index, member in enumerate(members):
        following = miss if index == len(members) - 1 else lo.new_block("in")
        outcome = compare(lo, node, ast.Eq(), number, Static(int(member)), hit, following)
        hits.append(outcome.when_true)
        if following is not miss:
            lo.start(following)
            lo.flow = outcome.when_false
    found = merge(*hits)
    return Outcomes(outcome.when_false, found) if negated else Outcomes(found, outcome.when_false)

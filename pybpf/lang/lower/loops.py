"""Loops: real ones, whose bound the verifier follows (since 5.3), and unrolled ones."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, cast

from pybpf.asm import AluOp
from pybpf.lang import ir
from pybpf.lang.intrinsics import unroll
from pybpf.lang.lower import conditions, expressions, memory, statements
from pybpf.lang.lower.state import Flow, Loop, Variable, assigned_names, merge
from pybpf.lang.values import S64, U64, Number, Static

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

_UNROLL_LIMIT = 256


def while_loop(lo: Lowering, node: ast.While) -> None:
    """``while condition:``; the verifier must be able to see that it ends."""
    _no_else(lo, node)
    head, inside, after = lo.new_block("while"), lo.new_block("body"), lo.new_block("end")
    loop = Loop(after, head)
    lo.goto(head)
    lo.start(head)
    lo.flow = _forget(lo, node)
    outcomes = conditions.condition(lo, node.test, inside, after)
    if outcomes.when_true is None:
        lo.flow = outcomes.when_false
        lo.start(after)
        return
    _body(lo, node.body, loop, inside, outcomes.when_true)
    if lo.reached:
        lo.goto(head)
    _leave(lo, loop, outcomes.when_false)


def for_loop(lo: Lowering, node: ast.For) -> None:
    """``for name in range(...)``, or over a constant sequence, which is unrolled."""
    _no_else(lo, node)
    if not isinstance(node.target, ast.Name):
        lo.error(node.target, "a loop sets one name")
    if isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name):
        function = lo.lookup(node.iter.func)
        if isinstance(function, Static) and function.value is range:
            _range_loop(lo, node, node.iter)
            return
        if isinstance(function, Static) and function.value is unroll:
            _unrolled(lo, node, _sequence(lo, node.iter))
            return
    items = expressions.expression(lo, node.iter)
    if not isinstance(items, Static):
        lo.error(node.iter, "a for loop goes over range(...) or a constant sequence")
    _unrolled(lo, node, items.value)


def break_(lo: Lowering, node: ast.Break) -> None:
    """Leave the innermost loop."""
    loop = _innermost(lo, node)
    loop.breaks.append(cast("Flow", lo.flow))
    lo.goto(loop.after)
    lo.flow = None


def continue_(lo: Lowering, node: ast.Continue) -> None:
    """Go on with the next round of the innermost loop."""
    loop = _innermost(lo, node)
    loop.continues.append(cast("Flow", lo.flow))
    lo.goto(loop.following)
    lo.flow = None


def _innermost(lo: Lowering, node: ast.AST) -> Loop:
    if not lo.frame.loops:
        lo.error(node, "outside of a loop")
    return lo.frame.loops[-1]


def _no_else(lo: Lowering, node: ast.For | ast.While) -> None:
    if node.orelse:
        lo.error(node.orelse[0], "else after a loop is not in the language", hint="set a flag and test it")


def _forget(lo: Lowering, node: ast.AST) -> Flow:
    """What holds at the head of a loop: nothing about None of a name that the loop assigns."""
    flow = cast("Flow", lo.flow).copy()
    for name in assigned_names(node):
        variable = lo.frame.variables.get(name)
        if variable is not None:
            flow.nonnull.discard(variable)
    return flow


def _body(lo: Lowering, nodes: list[ast.stmt], loop: Loop, block: ir.Block, flow: Flow) -> None:
    lo.frame.loops.append(loop)
    lo.start(block)
    lo.flow = flow
    statements.body(lo, nodes)
    lo.frame.loops.pop()


def _leave(lo: Lowering, loop: Loop, normally: Flow | None) -> None:
    lo.flow = merge(normally, *loop.breaks)
    if lo.reached:
        lo.start(loop.after)


def _range_loop(lo: Lowering, node: ast.For, call: ast.Call) -> None:
    name = cast("ast.Name", node.target).id
    start, stop, step = _bounds(lo, call)
    for child in node.body:
        if assigned_names(child)[name]:
            lo.error(child, f"{name!r} belongs to the loop", hint="use while for a step of your own")
    signed = step < 0 or any(
        (isinstance(v, Number) and v.signed) or (isinstance(v, Static) and v.value < 0) for v in (start, stop)
    )
    head, inside, following, after = (lo.new_block(n) for n in ("for", "body", "next", "end"))
    counter = Number(lo.move(memory.operand(start), name), S64 if signed else U64)
    limit = lo.settled(stop)
    lo.goto(head)
    lo.start(head)
    lo.flow = _forget(lo, node)
    variable = Variable(name, counter, mutable=True)
    outer = lo.frame.variables.get(name)
    lo.frame.variables[name] = variable
    lo.frame.protected.add(name)
    outcomes = conditions.compare(
        lo, call, ast.Lt() if step > 0 else ast.Gt(), counter, cast("Number | Static", limit), inside, after
    )
    loop = Loop(after, following)
    entered = cast("Flow", outcomes.when_true)
    entered.defined.add(variable)
    _body(lo, node.body, loop, inside, entered)
    if lo.reached:
        lo.goto(following)
    if lo.reached or loop.continues:
        lo.start(following)
        lo.at(call)
        lo.emit(ir.Alu(counter.register, [counter.register, step], op=AluOp.ADD))
        lo.goto(head)
    lo.frame.protected.discard(name)
    if outer is not None:
        lo.frame.variables[name] = outer
    _leave(lo, loop, outcomes.when_false)


def _bounds(lo: Lowering, call: ast.Call) -> tuple[Number | Static, Number | Static, int]:
    if not 1 <= len(call.args) <= 3 or call.keywords:
        lo.error(call, "range takes one to three integers")
    values = [expressions.integer(lo, argument) for argument in call.args]
    start: Number | Static = Static(0)
    if len(values) > 1:
        start = values.pop(0)
    step = values[1] if len(values) > 1 else Static(1)
    if not isinstance(step, Static) or step.value == 0:
        lo.error(call, "the step of a range is a constant other than zero")
    return start, values[0], int(step.value)


def _sequence(lo: Lowering, call: ast.Call) -> Any:
    if len(call.args) != 1 or call.keywords:
        lo.error(call, "unroll takes one sequence")
    inner = call.args[0]
    if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id == "range":
        bounds = [expressions.integer(lo, argument) for argument in inner.args]
        if not all(isinstance(bound, Static) for bound in bounds):
            lo.error(inner, "an unrolled loop needs constant bounds", hint="leave unroll() away for a real loop")
        return range(*(cast("Static", bound).value for bound in bounds))
    value = expressions.expression(lo, inner)
    if not isinstance(value, Static):
        lo.error(inner, "an unrolled loop needs a constant sequence", hint="leave unroll() away for a real loop")
    return value.value


def _unrolled(lo: Lowering, node: ast.For, items: Any) -> None:
    name = cast("ast.Name", node.target).id
    try:
        members = list(items)
    except TypeError:
        lo.error(node.iter, f"{items!r} is no sequence")
    if len(members) > _UNROLL_LIMIT:
        lo.error(
            node.iter, f"{len(members)} rounds are too many to unroll (at most {_UNROLL_LIMIT})", hint="use range()"
        )
    after = lo.new_block("end")
    breaks: list[Flow] = []
    for member in members:
        if lo.flow is None:
            break
        following = lo.new_block("next")
        loop = Loop(after, following, breaks)
        lo.bind(name, Static(int(member) if isinstance(member, bool) else member))
        _round(lo, node.body, loop)
    if lo.reached:
        lo.goto(after)
    lo.flow = merge(lo.flow, *breaks)
    if lo.reached:
        lo.start(after)


def _round(lo: Lowering, nodes: list[ast.stmt], loop: Loop) -> None:
    lo.frame.loops.append(loop)
    statements.body(lo, nodes)
    lo.frame.loops.pop()
    if lo.reached:
        lo.goto(loop.following)
    lo.flow = merge(lo.flow, *loop.continues)
    if lo.reached:
        lo.start(loop.following)

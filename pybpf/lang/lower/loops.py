"""Loops: real ones, whose bound the verifier follows (since 5.3), and unrolled ones."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, cast

from pybpf.asm import AluOp
from pybpf.lang import ir
from pybpf.lang.intrinsics import unroll
from pybpf.lang.lower import calls, comparisons, conditions, constants, expressions, memory, names, records, statements
from pybpf.lang.lower.flow import Flow, Loop, merge
from pybpf.lang.lower.state import Variable
from pybpf.lang.values import S64, U64, Number, Static
from pybpf.types import Struct

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering
    from pybpf.types import Scalar


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
    exits = lo.frame.exits
    _body(lo, node.body, loop, inside, outcomes.when_true)
    if lo.reached:
        lo.goto(head)
    if outcomes.when_false is None and not loop.breaks and lo.frame.exits == exits:
        lo.error(node, "this loop never ends", hint="leave it with break or return")
    _leave(lo, loop, outcomes.when_false)


def for_loop(lo: Lowering, node: ast.For) -> None:
    """``for name in range(...)``, or over a constant sequence, which is unrolled."""
    _no_else(lo, node)
    function = _called(lo, node.iter)
    if function is range:
        _range_loop(lo, node, cast("ast.Call", node.iter))
    elif function is unroll:
        _unrolled(lo, node, _sequence(lo, cast("ast.Call", node.iter)))
    elif function is enumerate or function is zip or function is reversed:
        lo.error(node.iter, f"{function.__name__}() is not in the language", hint="loop over range(...) and index")
    else:
        items = expressions.expression(lo, node.iter)
        if isinstance(items, Static) and calls.is_map(items.value):
            lo.error(
                node.iter, "a program cannot walk through a map", hint="keep the keys in an array, or walk in Python"
            )
        if not isinstance(items, Static):
            lo.error(
                node.iter,
                "a for loop goes over range(...) or a constant sequence",
                hint="for i in range(len(x)): ... x[i]",
            )
        _unrolled(lo, node, items.value)


def _called(lo: Lowering, node: ast.expr) -> Any:
    """The function that ``node`` calls, if it is a call of something called by name."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        function = lo.lookup(node.func)
        return function.value if isinstance(function, Static) else None
    return None


def break_(lo: Lowering, node: ast.Break) -> None:
    """Leave the innermost loop."""
    loop = lo.frame.loops[-1]
    loop.breaks.append(cast("Flow", lo.flow))
    lo.goto(loop.after)
    lo.flow = None


def continue_(lo: Lowering, node: ast.Continue) -> None:
    """Go on with the next round of the innermost loop."""
    loop = lo.frame.loops[-1]
    loop.continues.append(cast("Flow", lo.flow))
    lo.goto(loop.following)
    lo.flow = None


def _no_else(lo: Lowering, node: ast.For | ast.While) -> None:
    if node.orelse:
        lo.error(node.orelse[0], "else after a loop is not in the language", hint="set a flag and test it")


def _forget(lo: Lowering, node: ast.AST) -> Flow:
    """What holds at the head of a loop: nothing about None of a name that the loop may set to None."""
    flow = cast("Flow", lo.flow).copy()
    assigned: dict[str, list[ast.expr]] = {}
    for child in ast.walk(node):
        if isinstance(child, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and child.value is not None:
            for target in child.targets if isinstance(child, ast.Assign) else [child.target]:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(child.value)
    doubtful = set(assigned)
    while doubtful:
        found = {name for name in assigned if not all(_never_none(lo, flow, value) for value in assigned[name])}
        doubtful = {name for name in found if lo.frame.variables.get(name) in flow.nonnull}
        flow.nonnull -= {lo.frame.variables[name] for name in doubtful}
    records.forget_at_head(flow, node)
    return flow


def _never_none(lo: Lowering, flow: Flow, node: ast.expr) -> bool:
    """Whether ``node`` is a new struct, a field, an element, or a name that is not None: never None at any rate."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in lo.frame.assignments:
        try:
            called = lo.frame.source.lookup(node.func.id)
        except KeyError:
            return False
        return isinstance(called, type) and issubclass(called, Struct)
    if isinstance(node, ast.Name):
        return lo.frame.variables.get(node.id) in flow.nonnull
    return isinstance(node, (ast.Attribute, ast.Subscript))


def _body(lo: Lowering, nodes: list[ast.stmt], loop: Loop, block: ir.Block, flow: Flow) -> None:
    lo.start(block)
    lo.flow = flow
    _statements(lo, nodes, loop)


def _statements(lo: Lowering, nodes: list[ast.stmt], loop: Loop) -> None:
    lo.frame.loops.append(loop)
    statements.body(lo, nodes)
    lo.frame.loops.pop()


def _leave(lo: Lowering, loop: Loop, normally: Flow | None) -> None:
    lo.flow = merge(normally, *loop.breaks)
    if lo.reached:
        lo.start(loop.after)


def _range_loop(lo: Lowering, node: ast.For, call: ast.Call) -> None:
    if not isinstance(node.target, ast.Name):
        lo.error(node.target, "a loop over range sets one name")
    name = node.target.id
    start, stop, step = _bounds(lo, call)
    kind = _counter_type(lo, call, start, stop, step)
    head, inside, following, after = (lo.new_block(n) for n in ("for", "body", "next", "end"))
    counter = Number(lo.move(memory.operand(start), name), kind)
    limit = cast("Number | Static", lo.settled(stop))
    lo.changing.add(counter.register)
    lo.goto(head)
    lo.start(head)
    lo.flow = _forget(lo, node)
    op = ast.Lt() if step > 0 else ast.Gt()
    outcomes = comparisons.compare(lo, call, op, counter, limit, inside, after)
    loop = Loop(after, following)
    lo.start(inside)
    lo.flow = cast("Flow", outcomes.when_true)
    if lo.frame.is_loop_variable(name):
        variable = Variable(name, counter, mutable=True)
        lo.frame.variables[name] = variable
        lo.flow.define(variable, nonnull=False)
    else:
        names.assign(lo, node.target, name, counter)
    _statements(lo, node.body, loop)
    if lo.reached:
        lo.goto(following)
    if lo.reached or loop.continues:
        lo.start(following)
        lo.at(call)
        lo.emit(ir.Alu(counter.register, [counter.register, step], op=AluOp.ADD))
        lo.goto(head)
    _leave(lo, loop, outcomes.when_false)


def _bounds(lo: Lowering, call: ast.Call) -> tuple[Number | Static, Number | Static, int]:
    if not 1 <= len(call.args) <= 3 or call.keywords:
        lo.error(call, "range takes one to three integers")
    values = expressions.integers(lo, call.args)
    start: Number | Static = Static(0)
    if len(values) > 1:
        start = values.pop(0)
    step = values[1] if len(values) > 1 else Static(1)
    if not isinstance(step, Static) or step.value == 0:
        lo.error(call.args[-1], "the step of a range is a constant other than zero", hint="use while")
    return start, values[0], int(step.value)


def _counter_type(lo: Lowering, call: ast.Call, start: Number | Static, stop: Number | Static, step: int) -> Scalar:
    """s64 if the loop counts down or a bound is signed or negative, else u64; constant bounds must fit it."""
    signed = step < 0 or any(side.signed if isinstance(side, Number) else side.value < 0 for side in (start, stop))
    kind = S64 if signed else U64
    for side in (start, stop):
        if isinstance(side, Static) and not kind.minimum <= side.value <= kind.maximum:
            lo.error(
                call, f"the bound {side.value} does not fit {kind.name}", hint="loops end after 2**20 rounds or so"
            )
    if isinstance(stop, Static) and not kind.minimum <= stop.value + step <= kind.maximum:
        lo.error(call, f"counting to {stop.value} by {step} leaves {kind.name}")
    return kind


def _sequence(lo: Lowering, call: ast.Call) -> Any:
    if len(call.args) != 1 or call.keywords:
        lo.error(call, "unroll takes one sequence")
    inner = call.args[0]
    hint = "leave unroll() away for a real loop"
    if _called(lo, inner) is range:
        arguments = cast("ast.Call", inner).args
        bounds = expressions.integers(lo, arguments)
        if not all(isinstance(bound, Static) for bound in bounds):
            lo.error(inner, "an unrolled loop needs constant bounds", hint)
        try:
            return range(*(cast("Static", bound).value for bound in bounds))
        except (TypeError, ValueError) as error:
            constants.failed(lo, inner, error)
    value = expressions.expression(lo, inner)
    if not isinstance(value, Static):
        lo.error(inner, "an unrolled loop needs a constant sequence", hint)
    return value.value


def _unrolled(lo: Lowering, node: ast.For, items: Any) -> None:
    after = lo.new_block("end")
    breaks: list[Flow] = []
    for member in constants.members(lo, node.iter, items):
        if lo.flow is None:
            break
        lo.copied(node)
        following = lo.new_block("next")
        loop = Loop(after, following, breaks)
        _set_names(lo, node.target, member)
        _statements(lo, node.body, loop)
        if lo.reached:
            lo.goto(following)
        lo.flow = merge(lo.flow, *loop.continues)
        if lo.reached:
            lo.start(following)
    if lo.reached:
        lo.goto(after)
    lo.flow = merge(lo.flow, *breaks)
    if lo.reached:
        lo.start(after)


def _set_names(lo: Lowering, target: ast.expr, member: Any) -> None:
    """Give the names in the head of an unrolled loop the values of one round."""
    if isinstance(target, ast.Name):
        if lo.frame.is_loop_variable(target.id):
            lo.bind(target.id, Static(member))
        else:
            names.assign(lo, target, target.id, Static(member))
        return
    if not isinstance(target, (ast.Tuple, ast.List)):
        lo.error(target, f"a loop cannot set {type(target).__name__}", hint="name its variable")
    parts = constants.members(lo, target, member)
    if len(parts) != len(target.elts):
        lo.error(target, f"{len(target.elts)} names for {len(parts)} values")
    for part, value in zip(target.elts, parts):
        _set_names(lo, part, value)

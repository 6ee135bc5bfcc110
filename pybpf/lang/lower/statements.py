"""Statements: assignments, branches, returns; loops are next door."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Callable

from pybpf.lang import ir
from pybpf.lang.lower import arithmetic, conditions, declarations, expressions, loops, memory, names, records, stores
from pybpf.lang.lower.flow import merge
from pybpf.lang.values import Nothing, Pointer, Space, Static, Value, kind_of
from pybpf.types import Scalar

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering


def body(lo: Lowering, nodes: list[ast.stmt]) -> None:
    """Compile statements in order, as far as they can be reached."""
    for node in nodes:
        if lo.flow is None:
            return
        lo.at(node)
        handler = _STATEMENTS.get(type(node))
        if handler is None:
            lo.error(
                node, f"{type(node).__name__} statements are not in the language", hint=_UNSUPPORTED.get(type(node))
            )
        handler(lo, node)


def _assignment(lo: Lowering, node: ast.Assign) -> None:
    if len(node.targets) != 1:
        lo.error(node, "one target an assignment", hint="write one line each")
    _to_target(lo, node.targets[0], node.value, expressions.expression(lo, node.value), None)


def _annotated(lo: Lowering, node: ast.AnnAssign) -> None:
    declared = declarations.of_variable(lo, node)
    if node.value is None:
        lo.error(
            node, "a declaration needs a value", hint=f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)} = 0"
        )
    value = expressions.expression(lo, node.value)
    declarations.check_pointer(lo, node, value)
    _to_target(lo, node.target, node.value, value, declared)


def _to_target(lo: Lowering, target: ast.expr, node: ast.expr, value: Value, declared: Scalar | None) -> None:
    if isinstance(target, ast.Name):
        names.assign(lo, target, target.id, value, declared)
    elif isinstance(target, (ast.Attribute, ast.Subscript)):
        stores.store(lo, target, node, value)
    else:
        lo.error(
            target, f"cannot assign to {type(target).__name__}", hint="assign one name, field or element at a time"
        )


def _if(lo: Lowering, node: ast.If) -> None:
    yes, no, after = lo.new_block("then"), lo.new_block("else"), lo.new_block("end")
    outcomes = conditions.condition(lo, node.test, yes, no)
    ends = []
    for block, flow, statements in ((yes, outcomes.when_true, node.body), (no, outcomes.when_false, node.orelse)):
        if flow is None:
            continue
        lo.start(block)
        lo.flow = flow
        body(lo, statements)
        ends.append(lo.flow)
        if lo.flow is not None:
            lo.goto(after)
    lo.flow = merge(*ends)
    if lo.flow is not None:
        lo.start(after)


def _return(lo: Lowering, node: ast.Return) -> None:
    value: Value = Nothing() if node.value is None else expressions.expression(lo, node.value)
    place = node.value or node
    lo.frame.exits += 1
    if lo.frame.choice is not None:
        if lo.frame.returns is not None:
            value = arithmetic.convert(lo, place, lo.frame.returns, memory.integer(lo, place, value), explicit=False)
        lo.frame.choice.give(lo, place, value)
        return
    if isinstance(value, Nothing) or (isinstance(value, Static) and value.value is None):
        lo.error(node, "a program returns an integer", hint="return 0")
    records.check_return(lo, node)
    lo.emit(ir.Return(None, [memory.operand(memory.integer(lo, place, value))]))
    lo.flow = None


def _expression(lo: Lowering, node: ast.Expr) -> None:
    if isinstance(node.value, ast.Constant):
        return
    value = expressions.expression(lo, node.value)
    if isinstance(value, Pointer) and value.nullable and value.space is Space.RING:
        lo.error(
            node, "the reserved record is lost here, the kernel will not accept that", hint="slot = ....reserve(...)"
        )
    if isinstance(node.value, (ast.Compare, ast.Name, ast.Attribute)):
        lo.error(node, f"this line does nothing: it is {kind_of(value)}", hint="call it, assign it or leave it away")


def _pass(lo: Lowering, node: ast.Pass) -> None:
    """Nothing to do."""


_STATEMENTS: dict[type[ast.stmt], Callable[[Any, Any], None]] = {
    ast.Assign: _assignment,
    ast.AnnAssign: _annotated,
    ast.AugAssign: stores.augmented,
    ast.If: _if,
    ast.While: loops.while_loop,
    ast.For: loops.for_loop,
    ast.Break: loops.break_,
    ast.Continue: loops.continue_,
    ast.Return: _return,
    ast.Expr: _expression,
    ast.Pass: _pass,
}
_UNSUPPORTED: dict[type[ast.stmt], str] = {
    ast.Try: "BPF programs have no exceptions: helpers return negative error numbers",
    ast.Raise: "BPF programs have no exceptions: return early",
    ast.With: "the ring's reserve() and submit() are plain calls",
    ast.Assert: "return early instead",
    ast.Global: "keep state in a map",
    ast.Nonlocal: "keep state in a map",
    ast.Import: "import at the top of the module",
    ast.ImportFrom: "import at the top of the module",
    ast.FunctionDef: "define the function at module level; it is inlined",
    ast.AsyncFunctionDef: "BPF programs do not wait",
    ast.AsyncFor: "BPF programs do not wait",
    ast.AsyncWith: "BPF programs do not wait",
    ast.ClassDef: "define the class at module level",
    ast.Delete: "call delete(key) of the map",
}
if hasattr(ast, "Match"):  # Python 3.10
    _UNSUPPORTED[ast.Match] = "write if and elif"

"""Expressions: constants fold, the rest becomes instructions."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, cast

from pybpf.lang import ir
from pybpf.lang.lower import arithmetic, calls, choices, conditions, constants, memory, names, records
from pybpf.lang.values import BOOL, U64, Context, Method, Number, Owner, Pointer, Static, Value, kind_of
from pybpf.types import ArrayType, Struct

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering


def expression(lo: Lowering, node: ast.expr) -> Value:
    """The value of ``node``."""
    handler = _EXPRESSIONS.get(type(node))
    if handler is None:
        lo.error(node, f"{type(node).__name__} expressions are not in the language", hint=_UNSUPPORTED.get(type(node)))
    outer = lo.line
    lo.at(node)
    value = handler(lo, node)
    lo.line = outer
    return value


def integer(lo: Lowering, node: ast.expr) -> Number | Static:
    """The integer value of ``node``."""
    return memory.integer(lo, node, expression(lo, node))


def assigns(node: ast.AST) -> bool:
    """Whether evaluating ``node`` gives a variable another value (``:=``)."""
    return any(isinstance(child, ast.NamedExpr) for child in ast.walk(node))


def operands(lo: Lowering, nodes: Sequence[ast.expr], *, integers: bool = False) -> list[Value]:
    """The values of ``nodes``, evaluated in order, each kept from what those after it may assign."""
    values: list[Value] = []
    for index, node in enumerate(nodes):
        value = integer(lo, node) if integers else expression(lo, node)
        values.append(lo.settled(value) if any(map(assigns, nodes[index + 1 :])) else value)
    return values


def integers(lo: Lowering, nodes: Sequence[ast.expr]) -> list[Number | Static]:
    """The integer values of ``nodes``, evaluated in order."""
    return cast("list[Number | Static]", operands(lo, nodes, integers=True))


def _constant(lo: Lowering, node: ast.Constant) -> Value:
    if isinstance(node.value, (float, complex)):
        lo.error(node, "BPF has no floating point", hint="scale to integers: nanoseconds, per mille, fixed point")
    return Static(node.value)


def _name(lo: Lowering, node: ast.Name) -> Value:
    value = lo.lookup(node)
    if isinstance(value, Pointer):
        records.check_use(lo, node, value)
    return value


def _attribute(lo: Lowering, node: ast.Attribute) -> Value:
    receiver = expression(lo, node.value)
    if isinstance(receiver, Owner):
        return lo.self_attribute(node)
    if isinstance(receiver, Static):
        if calls.is_map(receiver.value):
            return Method(receiver, node.attr)
        return constants.attribute(lo, node, receiver.value)
    if isinstance(receiver, Context):
        return _context_attribute(lo, node, receiver)
    if isinstance(receiver, Pointer):
        return memory.load(lo, field_pointer(lo, node, receiver))
    lo.error(node, f"{kind_of(receiver)} has no attribute {node.attr!r}")


def _context_attribute(lo: Lowering, node: ast.Attribute, context: Context) -> Value:
    place = context.type.attributes.get(node.attr)
    if place is None:
        if node.attr not in context.type.methods:
            names = [*context.type.attributes, *(f"{name}()" for name in context.type.methods)]
            lo.error(
                node,
                f"{context.type.name} has no attribute {node.attr!r}",
                hint="it has " + ", ".join(names) if names else None,
            )
        return Method(context, node.attr)
    register = lo.register(node.attr)
    lo.emit(ir.Load(register, [context.register], offset=place[0], size=place[1]))
    return Number(register, U64)


def field_pointer(lo: Lowering, node: ast.Attribute, receiver: Pointer) -> Pointer:
    """Where the field ``node.attr`` of the struct at ``receiver`` lies."""
    memory.checked(lo, node.value, receiver)
    if not (isinstance(receiver.target, type) and issubclass(receiver.target, Struct)):
        lo.error(node, f"{kind_of(receiver)} has no fields")
    try:
        field = receiver.target.field(node.attr)
    except KeyError:
        names = ", ".join(f.name for f in receiver.target.FIELDS)
        lo.error(node, f"{receiver.target.__name__} has no field {node.attr!r}", hint=f"it has {names}")
    return receiver.at(field.offset, field.type)


def _subscript(lo: Lowering, node: ast.Subscript) -> Value:
    receiver = expression(lo, node.value)
    if isinstance(receiver, Static) and calls.is_map(receiver.value):
        lo.error(node, "a map is read with lookup(), which may give None", hint="value = self.map.lookup(key)")
    if isinstance(receiver, Static):
        index = expression(lo, node.slice)
        if not isinstance(index, Static):
            lo.error(node.slice, "a constant sequence needs a constant index", hint="use a map, or loop with unroll()")
        return constants.item(lo, node, receiver.value, index.value)
    if isinstance(receiver, Pointer):
        return memory.load(lo, element_pointer(lo, node, receiver))
    lo.error(node, f"{kind_of(receiver)} cannot be indexed")


def element_pointer(lo: Lowering, node: ast.Subscript, receiver: Pointer) -> Pointer:
    """Where the element ``node.slice`` of the array at ``receiver`` lies."""
    memory.checked(lo, node.value, receiver)
    if not isinstance(receiver.target, ArrayType):
        lo.error(node, f"{kind_of(receiver)} cannot be indexed")
    if isinstance(node.slice, ast.Slice):
        lo.error(node.slice, "slices are not in the language", hint="pass the array and a size to a helper")
    if assigns(node.slice):
        receiver = cast("Pointer", lo.settled(receiver))
    return memory.array_element(lo, node, receiver, integer(lo, node.slice))


def _binary(lo: Lowering, node: ast.BinOp) -> Value:
    left, right = integers(lo, (node.left, node.right))
    return arithmetic.arithmetic(lo, node, node.op, left, right)


def _unary(lo: Lowering, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        return truth(lo, node)
    return arithmetic.unary(lo, node, integer(lo, node.operand))


def truth(lo: Lowering, node: ast.expr) -> Value:
    """A condition used as a value: 0 or 1."""
    yes, no, after = lo.new_block("true"), lo.new_block("false"), lo.new_block("joined")
    outcomes = conditions.condition(lo, node, yes, no)
    if outcomes.known is not None:
        lo.start(yes if outcomes.known else no)
        lo.flow = outcomes.when_true or outcomes.when_false
        return Static(outcomes.known)
    result = lo.register("truth")
    for block, number in ((yes, 1), (no, 0)):
        lo.start(block)
        lo.emit(ir.Move(result, [number]))
        lo.goto(after)
    lo.start(after)
    lo.flow = conditions.joined(outcomes)
    return Number(result, BOOL)


def _conditional(lo: Lowering, node: ast.IfExp) -> Value:
    return choices.conditional(lo, node)


def _and_or(lo: Lowering, node: ast.BoolOp) -> Value:
    return choices.and_or(lo, node)


def _sequence(lo: Lowering, node: ast.Tuple | ast.List | ast.Set) -> Value:
    items = [expression(lo, item) for item in node.elts]
    if not all(isinstance(item, Static) for item in items):
        lo.error(node, f"a {type(node).__name__.lower()} in a program holds constants only", hint="use a Struct")
    return Static(tuple(cast("Static", item).value for item in items))


def _walrus(lo: Lowering, node: ast.NamedExpr) -> Value:
    names.assign(lo, node.target, node.target.id, expression(lo, node.value))
    return lo.lookup(node.target)


def _call(lo: Lowering, node: ast.Call) -> Value:
    return calls.call(lo, node)


_EXPRESSIONS: dict[type[ast.expr], Callable[[Any, Any], Value]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Compare: truth,
    ast.BoolOp: _and_or,
    ast.IfExp: _conditional,
    ast.Tuple: _sequence,
    ast.List: _sequence,
    ast.Set: _sequence,
    ast.NamedExpr: _walrus,
    ast.Call: _call,
}
_COMPREHENSION = "write a for loop over range()"
_UNSUPPORTED: dict[type[ast.expr], str] = {
    ast.JoinedStr: "BPF programs have no strings: send numbers up and format them in Python",
    ast.ListComp: _COMPREHENSION,
    ast.SetComp: _COMPREHENSION,
    ast.DictComp: _COMPREHENSION,
    ast.GeneratorExp: _COMPREHENSION,
    ast.Dict: "declare a HashMap in the class body, or a dict of constants at module level",
    ast.Lambda: "write a function at module level; it is inlined",
    ast.Await: "BPF programs do not wait",
    ast.Yield: "write to a ring buffer: self.events.output(record)",
    ast.YieldFrom: "write to a ring buffer: self.events.output(record)",
    ast.Slice: "pass the array and a size to a helper",
    ast.Starred: "write the arguments one by one",
}

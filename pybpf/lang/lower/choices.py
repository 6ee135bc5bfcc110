"""One value out of several: of conditional expressions, ``and`` and ``or``, returns of an inlined function."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pybpf.asm import JumpOp
from pybpf.lang import ir
from pybpf.lang.lower import conditions, constants, expressions, memory
from pybpf.lang.lower.flow import Flow, merge
from pybpf.lang.values import BOOL, S64, U64, Nothing, Number, Pointer, Space, Static, Value, kind_of
from pybpf.types import Scalar, alignof

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering


class Choice:
    """Collects the values that ways through the program give, and joins the ways.

    Integers join to an integer, signed if one of them is (a negative constant is); pointers of one type, and None, to a
    pointer that may be None if one of them may be. Anything else must be the same on all ways.
    """

    def __init__(self, lo: Lowering, name: str) -> None:
        self._register = lo.register(name)
        self._after = lo.new_block(f"{name}.end")
        self._values: list[Value] = []
        self._flows: list[Flow | None] = []

    def give(self, lo: Lowering, node: ast.AST, value: Value) -> None:
        """The way that control is on gives ``value`` and ends here."""
        value = memory.read(lo, node, value)
        for other in self._values:
            if _kind(value) != _kind(other) and "nothing" not in (_kind(value), _kind(other)):
                self._mismatch(lo, node, value, other)
            if isinstance(value, Pointer) and isinstance(other, Pointer) and value.target != other.target:
                self._mismatch(lo, node, value, other)
        self._values.append(value)
        if isinstance(value, (Number, Static)) and _kind(value) == "integer":
            lo.emit(ir.Move(self._register, [memory.operand(value)]))
        elif isinstance(value, Pointer):
            lo.emit(ir.Move(self._register, [memory.address(lo, value)]))
        elif _kind(value) == "nothing":
            lo.emit(ir.Move(self._register, [0]))
        self._flows.append(lo.flow.copy() if lo.flow is not None else None)
        lo.goto(self._after)
        lo.flow = None

    def _mismatch(self, lo: Lowering, node: ast.AST, value: Value, other: Value) -> None:
        lo.error(
            node, f"this gives {kind_of(value)}, another way gives {kind_of(other)}", hint="give the same on all ways"
        )

    def result(self, lo: Lowering, node: ast.AST) -> Value:
        """Go on where the ways meet, with the value that was given."""
        lo.start(self._after)
        lo.flow = merge(*self._flows)
        if not self._values:
            return Nothing()
        first = self._values[0]
        if len(self._values) == 1 or all(_same(value, first) for value in self._values):
            return first
        kinds = {_kind(value) for value in self._values}
        if kinds == {"integer"}:
            return self._integer()
        if kinds <= {"pointer", "nothing"}:
            return self._pointer(lo, node)
        other = next(value for value in self._values if not _same(value, first))
        self._mismatch(lo, node, other, first)
        raise AssertionError("unreachable")

    def _integer(self) -> Number:
        if all(
            value.type is BOOL if isinstance(value, Number) else isinstance(cast("Static", value).value, bool)
            for value in self._values
        ):
            return Number(self._register, BOOL)
        signed = any(
            value.signed if isinstance(value, Number) else cast("Static", value).value < 0 for value in self._values
        )
        return Number(self._register, S64 if signed else U64)

    def _pointer(self, lo: Lowering, node: ast.AST) -> Value:
        pointers = [value for value in self._values if isinstance(value, Pointer)]
        if not pointers:
            return Static(None)
        first = pointers[0]
        spaces = {pointer.space for pointer in pointers} - {Space.NONE}
        align = min(pointer.alignment for pointer in pointers)
        if len(spaces) > 1:
            if Space.RING in spaces:
                lo.error(node, "a ring buffer record on one way, other memory on another", hint="use two names")
            if first.target is not None and align < min(8, alignof(first.target)):
                lo.error(node, "a field of a packed struct on one way, other memory on another", hint="use two names")
        space = Space.MAP if Space.MAP in spaces else Space.PER_CPU if Space.PER_CPU in spaces else first.space
        nullable = any(not isinstance(value, Pointer) or value.nullable for value in self._values)
        return Pointer(self._register, 0, first.target, space, nullable, align)


def _kind(value: Value) -> str:
    if isinstance(value, Number) or (isinstance(value, Static) and isinstance(value.value, int)):
        return "integer"
    if isinstance(value, Pointer):
        return "pointer"
    if isinstance(value, Nothing) or (isinstance(value, Static) and value.value is None):
        return "nothing"
    return "object"


def _same(one: Value, other: Value) -> bool:
    """Whether two values are one and known while compiling (or the context, which is everywhere the same)."""
    if isinstance(one, Static) and isinstance(other, Static):
        if isinstance(one.value, int) and isinstance(other.value, int):
            return type(one.value) is type(other.value) and one.value == other.value
        return one.value is other.value
    return not isinstance(one, (Number, Pointer)) and one == other


def conditional(lo: Lowering, node: ast.IfExp) -> Value:
    """``body if test else orelse``."""
    yes, no = lo.new_block("then"), lo.new_block("else")
    outcomes = conditions.condition(lo, node.test, yes, no)
    if outcomes.known is not None:
        lo.start(yes if outcomes.known else no)
        lo.flow = outcomes.when_true or outcomes.when_false
        return expressions.expression(lo, node.body if outcomes.known else node.orelse)
    choice = Choice(lo, "choice")
    for block, flow, part in ((yes, outcomes.when_true, node.body), (no, outcomes.when_false, node.orelse)):
        lo.start(block)
        lo.flow = flow
        choice.give(lo, part, expressions.expression(lo, part))
    return choice.result(lo, node)


def is_condition(node: ast.expr) -> bool:
    """Whether ``node`` can only be True or False."""
    if isinstance(node, ast.BoolOp):
        return all(is_condition(value) for value in node.values)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    return isinstance(node, ast.Compare) or (isinstance(node, ast.Constant) and isinstance(node.value, bool))


def and_or(lo: Lowering, node: ast.BoolOp) -> Value:
    """``a and b``, ``a or b`` as values: the operand that decides, as in Python."""
    if is_condition(node):
        return expressions.truth(lo, node)
    conjunction = isinstance(node.op, ast.And)
    choice = Choice(lo, "choice")
    for part in node.values[:-1]:
        decided, onwards = lo.new_block("decided"), lo.new_block("and" if conjunction else "or")
        flow: Flow | None
        value: Value
        if is_condition(part):
            outcomes = conditions.condition(lo, part, *((onwards, decided) if conjunction else (decided, onwards)))
            value = Static(not conjunction)
            onward_flow, decided_flow = outcomes.when_true, outcomes.when_false
            if not conjunction:
                onward_flow, decided_flow = decided_flow, onward_flow
        else:
            value = expressions.expression(lo, part)
            if not conjunction and isinstance(value, Pointer) and isinstance(value.target, Scalar) and value.nullable:
                value = _element_or(lo, value, onwards)
            value = _operand(lo, part, value)
            if isinstance(value, Static):
                if constants.truth(lo, part, value.value) is conjunction:
                    continue
                choice.give(lo, part, value)
                return choice.result(lo, node)
            ways = (onwards, decided) if conjunction else (decided, onwards)
            register = cast("Number", value).register
            lo.emit(ir.Branch(None, [register, 0], op=JumpOp.NE, then=ways[0], otherwise=ways[1]))
            onward_flow = decided_flow = lo.flow
        for block, flow in ((decided, decided_flow), (onwards, onward_flow)):
            if flow is None:
                continue
            lo.start(block)
            lo.flow = flow.copy()
            if block is decided:
                choice.give(lo, part, value)
        if onward_flow is None:
            return choice.result(lo, node)
    last = node.values[-1]
    choice.give(lo, last, _operand(lo, last, expressions.expression(lo, last)))
    return choice.result(lo, node)


def _element_or(lo: Lowering, pointer: Pointer, otherwise: ir.Block) -> Pointer:
    """``lookup(key) or ...``: without the element the right side decides."""
    there = lo.new_block("there")
    lo.emit(ir.Branch(None, [memory.address(lo, pointer), 0], op=JumpOp.NE, then=there, otherwise=otherwise))
    lo.start(there)
    return replace(pointer, nullable=False)


def _operand(lo: Lowering, node: ast.expr, value: Value) -> Value:
    if isinstance(value, Static):
        return value
    if isinstance(value, Pointer) and value.nullable:
        word = "is not None"
        lo.error(node, "`and` and `or` give one of their operands, and this one is a pointer", hint=f"write `{word}`")
    return memory.integer(lo, node, value)

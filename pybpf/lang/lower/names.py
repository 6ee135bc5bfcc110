"""Local names: what an assignment makes of them.

A name assigned at one place only is another name for its value: a constant stays a constant. A name assigned at
several places is a variable: its first assignment fixes whether it is an unsigned or a signed integer of 64 bits, or a
pointer to a certain type in a certain kind of memory. An annotation with an integer type converts every value assigned.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pybpf.lang import ir
from pybpf.lang.lower import arithmetic, memory
from pybpf.lang.lower.state import Variable, pending
from pybpf.lang.values import BOOL, S64, U64, Nothing, Number, Pointer, Space, Static, Value, kind_of
from pybpf.types import Scalar, alignof

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering


def assign(lo: Lowering, node: ast.AST, name: str, value: Value, declared: Scalar | None = None) -> None:
    """``name = value``, or ``name: declared = value``."""
    if isinstance(value, Nothing):
        lo.error(node, "this call returns nothing")
    variable = lo.frame.variables.get(name) if lo.frame.is_mutable(name) else None
    if lo.flow is not None and variable is not None and isinstance(variable.value, Pointer):
        lo.flow.given_back -= {variable.value.base}
        lo.flow.reserved -= {variable.value.base}
    if declared is not None and variable is not None and variable.declared != declared:
        lo.error(
            node, f"{name!r} has a type already", hint=f"declare it where it is first assigned: {name}: {declared}"
        )
    kind = variable.declared if variable is not None else declared
    if kind is not None:
        value = arithmetic.convert(lo, node, kind, memory.integer(lo, node, value), explicit=False)
    if not lo.frame.is_mutable(name):
        lo.bind(name, value)
        return
    if variable is None:
        variable = Variable(name, _home(lo, node, name, value, declared), True, declared)
        lo.frame.variables[name] = variable
    _change(lo, node, variable, value)
    if lo.flow is not None:
        lo.flow.define(variable, nonnull=isinstance(value, Pointer) and not value.nullable)


def _home(lo: Lowering, node: ast.AST, name: str, value: Value, declared: Scalar | None) -> Value:
    """Where a variable that begins as ``value`` lives, and what it can hold."""
    register = lo.register(name)
    lo.changing.add(register)
    if declared is not None:
        return Number(register, memory.number_type(declared))
    if isinstance(value, Pointer):
        return Pointer(register, 0, value.target, value.space, align=_natural_alignment(value))
    if isinstance(value, Number):
        return Number(register, U64 if value.type is BOOL else value.type)
    if isinstance(value, Static) and isinstance(value.value, int):
        return Number(register, S64 if value.value < 0 else U64)
    if isinstance(value, Static) and value.value is None:
        return pending(register)
    if name in lo.frame.parameters:
        lo.error(
            _assignment_of(lo, name) or node, f"{name!r} is {kind_of(value)}; it cannot be assigned", "use another name"
        )
    lo.error(node, f"{name!r} is assigned more than once, so it cannot hold {kind_of(value)}", hint="use two names")


def _assignment_of(lo: Lowering, name: str) -> ast.Name | None:
    """The first place where the function assigns ``name``."""
    for child in ast.walk(lo.frame.source.node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store) and child.id == name:
            return child
    return None


def _natural_alignment(pointer: Pointer) -> int:
    return 8 if pointer.target is None else min(8, alignof(pointer.target))


def _change(lo: Lowering, node: ast.AST, variable: Variable, value: Value) -> None:
    home = variable.value
    if isinstance(home, Number):
        number = memory.integer(lo, node, value)
        signed = number.signed if isinstance(number, Number) else memory.constant(number) < 0
        if signed and not home.signed and variable.declared is None:
            lo.error(
                node,
                f"{variable.name!r} began as unsigned and gets a signed value",
                hint=f"declare it: {variable.name}: s64 = ...",
            )
        lo.emit(ir.Move(home.register, [memory.operand(number)]))
        return
    pointer = cast("Pointer", home)
    if isinstance(value, Static) and value.value is None:
        lo.emit(ir.Move(cast("ir.VReg", pointer.base), [0]))
        return
    if isinstance(value, Pointer) and pointer.space is Space.NONE:
        pointer = replace(pointer, target=value.target, space=value.space, align=_natural_alignment(value))
        variable.value = pointer
    if isinstance(value, Pointer) and value.target == pointer.target and value.space is not pointer.space:
        lo.error(
            node,
            f"{variable.name!r} points into {pointer.space.value}; it cannot point into {value.space.value}",
            hint="use two names",
        )
    if not isinstance(value, Pointer) or value.target != pointer.target:
        lo.error(
            node, f"{variable.name!r} is {kind_of(pointer)}; it cannot become {kind_of(value)}", hint="use two names"
        )
    if value.space is Space.STACK and value.alignment < pointer.align:
        lo.error(node, f"{kind_of(value)} in a packed struct is not aligned", hint="use two names, or copy it first")
    lo.emit(ir.Move(cast("ir.VReg", pointer.base), [memory.address(lo, value)]))

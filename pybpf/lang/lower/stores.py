"""Assignments to fields, to elements of arrays and of maps; augmented ones."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, cast

from pybpf.asm import AtomicOp
from pybpf.lang import ir
from pybpf.lang.lower import arithmetic, calls, expressions, mapcalls, memory, names
from pybpf.lang.values import Context, Number, Owner, Pointer, Space, Static, Value, kind_of
from pybpf.types import Scalar

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering
    from pybpf.maps import Map


def store(lo: Lowering, target: ast.Attribute | ast.Subscript, node: ast.expr, value: Value) -> None:
    """``target = value``; the value, which ``node`` gave, is there before the target is looked at, as in Python."""
    value = memory.read(lo, node, value)
    if expressions.assigns(target):
        value = lo.settled(value)
    place = _place(lo, target)
    if isinstance(place, Pointer):
        memory.store(lo, node, place, value)
    else:
        mapcalls.set_item(lo, cast("ast.Subscript", target), place, node, value)


def _place(lo: Lowering, target: ast.Attribute | ast.Subscript) -> Pointer | Map:
    """Where a field or element lies, or the map that the element is of."""
    receiver = expressions.expression(lo, target.value)
    if isinstance(receiver, Pointer):
        if isinstance(target, ast.Attribute):
            return expressions.field_pointer(lo, target, receiver)
        return expressions.element_pointer(lo, target, receiver)
    if isinstance(target, ast.Attribute) and isinstance(receiver, Owner):
        lo.error(
            target,
            f"self.{target.attr} cannot be assigned in a program",
            hint=f"write to an element: self.{target.attr}[key] = value",
        )
    if isinstance(receiver, Context):
        lo.error(target, "the context is read only")
    if isinstance(target, ast.Attribute) or not (isinstance(receiver, Static) and calls.is_map(receiver.value)):
        hint = "global state lives in maps" if isinstance(receiver, Static) else None
        lo.error(target, f"cannot write to {kind_of(receiver)}", hint)
    return cast("Map", receiver.value)


def augmented(lo: Lowering, node: ast.AugAssign) -> None:
    """``target op= value``; as in Python the target is looked at first."""
    target = node.target
    if isinstance(target, ast.Name):
        name = ast.copy_location(ast.Name(target.id, ast.Load()), target)
        before, amount = expressions.integers(lo, [name, node.value])
        names.assign(lo, target, target.id, arithmetic.arithmetic(lo, node, node.op, before, amount))
        return
    place = _place(lo, target)
    if not isinstance(place, Pointer):
        mapcalls.augment_item(lo, node, cast("ast.Subscript", target), place)
        return
    if not isinstance(place.target, Scalar):
        lo.error(target, f"{kind_of(place)} is no integer")
    if expressions.assigns(node.value):
        place = cast("Pointer", lo.settled(place))
    augment(lo, node, place)


_ATOMIC: dict[type[ast.operator], AtomicOp] = {
    ast.Add: AtomicOp.ADD,
    ast.Sub: AtomicOp.ADD,
    ast.BitOr: AtomicOp.OR,
    ast.BitAnd: AtomicOp.AND,
    ast.BitXor: AtomicOp.XOR,
}


def augment(lo: Lowering, node: ast.AugAssign, place: Pointer, amount: Number | Static | None = None) -> None:
    """``place op= value``: one atomic step in a map that all CPUs share, load and store anywhere else.

    ``amount`` is the value where it had to be computed before; else it is computed between load and store.
    """
    if is_atomic(node.op, place):
        _atomic(lo, node.op, place, amount or expressions.integer(lo, node.value))
        return
    before = memory.integer(lo, node.target, memory.load(lo, place))
    after = arithmetic.arithmetic(lo, node, node.op, before, amount or expressions.integer(lo, node.value))
    memory.store(lo, node, place, after)


def is_atomic(op: ast.operator, place: Pointer) -> bool:
    """Whether the processor has ``op`` as one step: ``+= -= |= &= ^=`` on host-order integers of 4 and 8 bytes.

    BPF_XADD since 3.18, the others since 5.12.
    """
    kind = cast("Scalar", place.target)
    return place.space is Space.MAP and type(op) in _ATOMIC and kind.size in (4, 8) and not kind.swapped


def _atomic(lo: Lowering, op: ast.operator, place: Pointer, amount: Number | Static) -> None:
    kind = cast("Scalar", place.target)
    if isinstance(op, ast.Sub):
        amount = arithmetic.negated(lo, amount)
    slot, base = memory.place(place)
    operand = memory.in_register(lo, amount)
    lo.emit(ir.Atomic(None, [operand, *base], op=_ATOMIC[type(op)], slot=slot, offset=place.offset, size=kind.size))

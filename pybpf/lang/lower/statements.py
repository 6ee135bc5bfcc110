"""Statements: assignments, branches, loops, returns."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Callable, cast

from pybpf.asm import AtomicOp
from pybpf.lang import ir
from pybpf.lang.lower import calls, conditions, expressions, inline, loops, mapcalls, memory
from pybpf.lang.lower.state import Variable, merge
from pybpf.lang.values import S64, U64, Context, Nothing, Number, Owner, Pointer, Space, Static, Value, kind_of
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


def type_of_constant(value: Static) -> Scalar:
    """The type of a variable that begins as a constant."""
    return S64 if value.value < 0 else U64


def bind_parameter(lo: Lowering, name: str, value: Value) -> None:
    """Give a parameter of an inlined function its argument."""
    if lo.frame.assignments[name]:
        lo.frame.assignments[name] += 1
        _assign(lo, lo.frame.source.node, name, value, None)
    else:
        variable = lo.bind(name, value)
        if isinstance(value, Pointer) and not value.nullable and lo.flow is not None:
            lo.flow.nonnull.add(variable)


def assign_name(lo: Lowering, node: ast.Name, value: Value, declared: Scalar | None) -> None:
    """``name = value``."""
    if node.id in lo.frame.protected:
        lo.error(node, f"{node.id!r} belongs to the loop", hint="use another name inside of the loop")
    _assign(lo, node, node.id, value, declared)


def _assign(lo: Lowering, node: ast.AST, name: str, value: Value, declared: Scalar | None) -> None:
    if isinstance(value, Nothing):
        lo.error(node, "this call returns nothing")
    variable = lo.frame.variables.get(name)
    if isinstance(value, Pointer) and isinstance(value.target, Scalar) and declared is not None:
        value = memory.integer(lo, node, value)
    if declared is not None and isinstance(value, (Number, Static)):
        value = calls.convert(lo, node, declared, memory.integer(lo, node, value))
    if lo.frame.assignments[name] <= 1:
        variable = lo.bind(name, lo.settled(value))
    else:
        variable = _assign_mutable(lo, node, name, variable, value, declared)
    if lo.flow is not None:
        lo.flow.defined.add(variable)
        if isinstance(value, Pointer) and not value.nullable:
            lo.flow.nonnull.add(variable)
        else:
            lo.flow.nonnull.discard(variable)


def _assign_mutable(
    lo: Lowering, node: ast.AST, name: str, variable: Variable | None, value: Value, declared: Scalar | None
) -> Variable:
    if isinstance(value, (Context, Owner)) or (isinstance(value, Static) and not isinstance(value.value, int)):
        lo.error(node, f"{name!r} is assigned more than once, so it cannot hold {kind_of(value)}", hint="use two names")
    if variable is None:
        variable = Variable(name, _home(lo, name, value, declared), mutable=True)
        lo.frame.variables[name] = variable
    home = variable.value
    if isinstance(home, Number):
        number = memory.integer(lo, node, value)
        if isinstance(number, Number) and number.signed and not home.signed and number.type.name != "bool":
            lo.error(node, f"{name!r} began as unsigned and gets a signed value", hint=f"declare it: {name}: s64 = ...")
        lo.emit(ir.Move(home.register, [memory.operand(number)]))
        return variable
    pointer = cast("Pointer", home)
    if not isinstance(value, Pointer) or value.target != pointer.target or value.space is not pointer.space:
        lo.error(node, f"{name!r} is {kind_of(pointer)}; it cannot become {kind_of(value)}", hint="use two names")
    lo.emit(ir.Move(cast("ir.VReg", pointer.base), [memory.address(lo, value)]))
    return variable


def _home(lo: Lowering, name: str, value: Value, declared: Scalar | None) -> Value:
    if isinstance(value, Pointer):
        return Pointer(lo.register(name), 0, value.target, value.space)
    if declared is not None:
        return Number(lo.register(name), memory.number_type(declared))
    if isinstance(value, Number):
        return Number(lo.register(name), value.type if value.type.name != "bool" else U64)
    return Number(lo.register(name), type_of_constant(cast("Static", value)))


def _assignment(lo: Lowering, node: ast.Assign) -> None:
    if len(node.targets) != 1:
        lo.error(node, "one target an assignment", hint="write one line each")
    _to_target(lo, node.targets[0], expressions.expression(lo, node.value), None)


def _annotated(lo: Lowering, node: ast.AnnAssign) -> None:
    kind = expressions.expression(lo, node.annotation)
    declared = kind.value if isinstance(kind, Static) else None
    if declared is bool:
        declared = Scalar("bool", 1)
    if declared is int:
        declared = None
    elif not isinstance(declared, Scalar):
        lo.error(
            node.annotation, f"{ast.unparse(node.annotation)} is no integer type", hint="u8 to u64, s8 to s64 or bool"
        )
    if node.value is None:
        lo.error(
            node, "a declaration needs a value", hint=f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)} = 0"
        )
    _to_target(lo, node.target, expressions.expression(lo, node.value), declared)


def _to_target(lo: Lowering, target: ast.expr, value: Value, declared: Scalar | None) -> None:
    if isinstance(target, ast.Name):
        assign_name(lo, target, value, declared)
    elif isinstance(target, (ast.Attribute, ast.Subscript)):
        _store(lo, target, value)
    else:
        lo.error(
            target, f"cannot assign to {type(target).__name__}", hint="assign one name, field or element at a time"
        )


def _place(lo: Lowering, target: ast.Attribute | ast.Subscript) -> Pointer | None:
    """Where a field or element lies; None where it is an element of a map."""
    receiver = expressions.expression(lo, target.value)
    if isinstance(receiver, Pointer):
        if isinstance(target, ast.Attribute):
            return expressions.field_pointer(lo, target, receiver)
        return expressions.element_pointer(lo, target, receiver)
    if isinstance(target, ast.Attribute) and isinstance(receiver, Owner):
        name = target.attr
        lo.error(
            target,
            f"self.{name} cannot be assigned in a program",
            hint=f"write to an element: self.{name}[key] = value",
        )
    if isinstance(receiver, Context):
        lo.error(target, "the context is read only")
    if not (isinstance(receiver, Static) and calls.is_map(receiver.value)):
        lo.error(target, f"cannot write to {kind_of(receiver)}")
    return None


def _map_of(lo: Lowering, target: ast.Subscript) -> Any:
    return cast("Static", expressions.expression(lo, target.value)).value


def _store(lo: Lowering, target: ast.Attribute | ast.Subscript, value: Value) -> None:
    value = lo.settled(value)
    place = _place(lo, target)
    if place is not None:
        memory.store(lo, target, place, value)
    else:
        mapcalls.set_item(lo, cast("ast.Subscript", target), _map_of(lo, cast("ast.Subscript", target)), value)


def _augmented(lo: Lowering, node: ast.AugAssign) -> None:
    target = node.target
    if isinstance(target, ast.Name):
        before = memory.integer(lo, target, lo.lookup(ast.copy_location(ast.Name(target.id, ast.Load()), target)))
        after = expressions.arithmetic(lo, node, node.op, before, expressions.integer(lo, node.value))
        assign_name(lo, target, after, None)
        return
    amount = expressions.integer(lo, node.value)
    place = _place(lo, target)
    if place is None:
        subscript = cast("ast.Subscript", target)
        mapcalls.augment_item(lo, node, subscript, _map_of(lo, subscript), amount)
        return
    if not isinstance(place.target, Scalar):
        lo.error(target, f"{kind_of(place)} is no integer")
    augment(lo, node, place, amount)


_ATOMIC: dict[type[ast.operator], AtomicOp] = {
    ast.Add: AtomicOp.ADD,
    ast.Sub: AtomicOp.ADD,
    ast.BitOr: AtomicOp.OR,
    ast.BitAnd: AtomicOp.AND,
    ast.BitXor: AtomicOp.XOR,
}


def augment(lo: Lowering, node: ast.AugAssign, place: Pointer, amount: Number | Static) -> None:
    """``place op= amount``: one atomic step in a map that all CPUs share, load and store anywhere else.

    Atomic are ``+= -= |= &= ^=`` on host-order integers of 4 and 8 bytes (BPF_XADD since 3.18; the others since 5.12).
    """
    kind = cast("Scalar", place.target)
    op = _ATOMIC.get(type(node.op))
    if place.space is Space.MAP and op is not None and kind.size in (4, 8) and not kind.swapped:
        operand = memory.in_register(lo, amount) if not isinstance(amount, Static) else None
        if isinstance(node.op, ast.Sub):
            if operand is None:
                operand = lo.move(-cast("Static", amount).value)
            else:
                negated = lo.register()
                lo.emit(ir.Negate(negated, [operand]))
                operand = negated
        elif operand is None:
            operand = lo.move(cast("Static", amount).value)
        slot, base = memory.place(place)
        lo.emit(ir.Atomic(None, [operand, *base], op=op, slot=slot, offset=place.offset, size=kind.size))
        return
    before = memory.integer(lo, node.target, memory.load(lo, place))
    memory.store(lo, node.target, place, expressions.arithmetic(lo, node, node.op, before, amount))


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
    if lo.frame.join is not None:
        if isinstance(value, Pointer) and isinstance(value.target, Scalar) and not value.nullable:
            value = memory.integer(lo, node, value)
        inline.give_back(lo, node, value)
        return
    if isinstance(value, Nothing) or (isinstance(value, Static) and value.value is None):
        lo.error(node, "a program returns an integer", hint="return 0")
    lo.emit(ir.Return(None, [memory.operand(memory.integer(lo, node, value))]))
    lo.flow = None


def _expression(lo: Lowering, node: ast.Expr) -> None:
    if isinstance(node.value, ast.Constant):
        return
    value = expressions.expression(lo, node.value)
    if isinstance(value, Pointer) and value.nullable and value.space is Space.RING:
        lo.error(
            node, "the reserved record is lost here, the kernel will not accept that", hint="slot = ....reserve(...)"
        )


def _pass(lo: Lowering, node: ast.Pass) -> None:
    """Nothing to do."""


_STATEMENTS: dict[type[ast.stmt], Callable[[Any, Any], None]] = {
    ast.Assign: _assignment,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
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
    ast.ClassDef: "define the class at module level",
    ast.Delete: "call delete(key) of the map",
}

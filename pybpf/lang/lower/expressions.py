"""Expressions: constants fold, the rest becomes instructions."""

from __future__ import annotations

import ast
import enum
import operator
from typing import TYPE_CHECKING, Any, Callable, cast

from pybpf.asm import AluOp
from pybpf.lang import ir
from pybpf.lang.lower import calls, conditions, memory, statements
from pybpf.lang.values import BOOL, S64, U64, Context, Method, Number, Owner, Pointer, Static, Value, kind_of
from pybpf.types import ArrayType, Struct

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

BINARY: dict[type[ast.operator], tuple[Callable[[Any, Any], Any], AluOp]] = {
    ast.Add: (operator.add, AluOp.ADD),
    ast.Sub: (operator.sub, AluOp.SUB),
    ast.Mult: (operator.mul, AluOp.MUL),
    ast.FloorDiv: (operator.floordiv, AluOp.DIV),
    ast.Mod: (operator.mod, AluOp.MOD),
    ast.BitOr: (operator.or_, AluOp.OR),
    ast.BitAnd: (operator.and_, AluOp.AND),
    ast.BitXor: (operator.xor, AluOp.XOR),
    ast.LShift: (operator.lshift, AluOp.LSH),
    ast.RShift: (operator.rshift, AluOp.RSH),
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_COMMUTATIVE = (AluOp.ADD, AluOp.MUL, AluOp.OR, AluOp.AND, AluOp.XOR)


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


def _constant(lo: Lowering, node: ast.Constant) -> Value:
    if isinstance(node.value, float):
        lo.error(node, "BPF has no floating point", hint="scale to integers: nanoseconds, per mille, fixed point")
    return Static(node.value)


def _name(lo: Lowering, node: ast.Name) -> Value:
    return lo.lookup(node)


def _attribute(lo: Lowering, node: ast.Attribute) -> Value:
    receiver = expression(lo, node.value)
    if isinstance(receiver, Owner):
        return lo.self_attribute(node)
    if isinstance(receiver, Static):
        return _static_attribute(lo, node, receiver.value)
    if isinstance(receiver, Context):
        return _context_attribute(lo, node, receiver)
    if isinstance(receiver, Pointer):
        return memory.load(lo, field_pointer(lo, node, receiver))
    lo.error(node, f"{kind_of(receiver)} has no attribute {node.attr!r}")


def _static_attribute(lo: Lowering, node: ast.Attribute, value: Any) -> Value:
    if calls.is_map(value):
        return Method(Static(value), node.attr)
    try:
        found = getattr(value, node.attr)
    except AttributeError as error:
        lo.error(node, str(error))
    if isinstance(found, enum.IntEnum):
        found = int(found)
    return Static(found)


def _context_attribute(lo: Lowering, node: ast.Attribute, context: Context) -> Value:
    place = context.type.attributes.get(node.attr)
    if place is None:
        if node.attr not in context.type.methods:
            names = [*context.type.attributes, *(f"{name}()" for name in context.type.methods)]
            lo.error(node, f"{context.type.name} has no attribute {node.attr!r}", hint="it has " + ", ".join(names))
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
    if isinstance(receiver, Static) and not calls.is_map(receiver.value):
        index = expression(lo, node.slice)
        if not isinstance(index, Static):
            lo.error(node.slice, "a constant sequence needs a constant index", hint="use a map, or loop with unroll()")
        try:
            return Static(receiver.value[index.value])
        except (LookupError, TypeError) as error:
            lo.error(node, f"{type(error).__name__}: {error}")
    if isinstance(receiver, Pointer):
        return memory.load(lo, element_pointer(lo, node, receiver))
    if isinstance(receiver, Static):
        lo.error(node, "a map is read with lookup(), which may give None", hint="value = self.map.lookup(key)")
    lo.error(node, f"{kind_of(receiver)} cannot be indexed")


def element_pointer(lo: Lowering, node: ast.Subscript, receiver: Pointer) -> Pointer:
    """Where the element ``node.slice`` of the array at ``receiver`` lies."""
    memory.checked(lo, node.value, receiver)
    if not isinstance(receiver.target, ArrayType):
        lo.error(node, f"{kind_of(receiver)} cannot be indexed")
    return memory.array_element(lo, node, receiver, integer(lo, node.slice))


def _binary(lo: Lowering, node: ast.BinOp) -> Value:
    if isinstance(node.op, ast.Div):
        lo.error(node, "BPF has no floating point, so no true division", hint="use // for the integer quotient")
    left, right = integer(lo, node.left), integer(lo, node.right)
    return arithmetic(lo, node, node.op, left, right)


def arithmetic(
    lo: Lowering, node: ast.AST, op: ast.operator, left: Number | Static, right: Number | Static
) -> Number | Static:
    """``left op right`` in 64 bits: signed if either operand is, otherwise unsigned."""
    if type(op) not in BINARY:
        lo.error(node, f"the operator {type(op).__name__} is not in the language")
    fold, alu = BINARY[type(op)]
    if isinstance(left, Static) and isinstance(right, Static):
        try:
            return Static(fold(left.value, right.value))
        except (ArithmeticError, ValueError, MemoryError) as error:
            lo.error(node, f"{type(error).__name__}: {error}")
    if isinstance(left, Static) and alu in _COMMUTATIVE:
        left, right = right, left
    signed = any(isinstance(side, Number) and side.signed for side in (left, right))
    if alu in (AluOp.LSH, AluOp.RSH):
        signed = isinstance(left, Number) and left.signed
    if alu in (AluOp.DIV, AluOp.MOD):
        if signed:
            lo.error(
                node,
                "division of signed integers rounds differently in C and in Python",
                hint="divide u64 values: u64(x) // n",
            )
        if isinstance(right, Static) and right.value <= 0:
            lo.error(node, f"division by {right.value}")
    kind = S64 if signed else U64
    alu, factor = _reduced(alu, right)
    if factor is not None:
        right = Static(factor)
    if alu is AluOp.RSH and signed:
        alu = AluOp.ARSH
    register = lo.register()
    if alu is AluOp.AND and isinstance(right, Static) and right.value == 0xFFFFFFFF:
        lo.emit(ir.Extend(register, [memory.in_register(lo, left)], bits=32))
        return Number(register, U64)
    lo.emit(ir.Alu(register, [memory.in_register(lo, left), memory.operand(right)], op=alu))
    return Number(register, kind)


def _reduced(alu: AluOp, right: Number | Static) -> tuple[AluOp, int | None]:
    if not isinstance(right, Static) or right.value <= 0 or right.value & (right.value - 1):
        return alu, None
    cheap = {AluOp.MUL: AluOp.LSH, AluOp.DIV: AluOp.RSH}.get(alu)
    if cheap is not None:
        return cheap, right.value.bit_length() - 1
    if alu is AluOp.MOD:
        return AluOp.AND, right.value - 1
    return alu, None


def _unary(lo: Lowering, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        return truth(lo, node)
    value = integer(lo, node.operand)
    if isinstance(value, Static):
        return Static(_UNARY[type(node.op)](value.value))
    if isinstance(node.op, ast.UAdd):
        return value
    register = lo.register()
    if isinstance(node.op, ast.Invert):
        lo.emit(ir.Alu(register, [value.register, -1], op=AluOp.XOR))
        return Number(register, value.type)
    lo.emit(ir.Negate(register, [value.register]))
    return Number(register, S64)


def truth(lo: Lowering, node: ast.expr) -> Value:
    """A condition used as a value: 0 or 1."""
    yes, no, after = lo.new_block("true"), lo.new_block("false"), lo.new_block("joined")
    result = lo.register("truth")
    flows = conditions.condition(lo, node, yes, no)
    if flows.when_true is None or flows.when_false is None:
        known = flows.when_true is not None
        lo.start(yes if known else no)
        lo.flow = flows.when_true if known else flows.when_false
        return Static(known)
    before = lo.flow
    for block, number in ((yes, 1), (no, 0)):
        lo.start(block)
        lo.emit(ir.Move(result, [number]))
        lo.goto(after)
    lo.start(after)
    lo.flow = conditions.joined(flows) or before
    return Number(result, BOOL)


def _conditional(lo: Lowering, node: ast.IfExp) -> Value:
    yes, no, after = lo.new_block("then"), lo.new_block("else"), lo.new_block("joined")
    flows = conditions.condition(lo, node.test, yes, no)
    if flows.when_true is None or flows.when_false is None:
        lo.start(yes if flows.when_true is not None else no)
        lo.flow = flows.when_true or flows.when_false
        return expression(lo, node.body if flows.when_true is not None else node.orelse)
    result = lo.register("choice")
    signed = False
    for block, flow, part in ((yes, flows.when_true, node.body), (no, flows.when_false, node.orelse)):
        lo.start(block)
        lo.flow = flow
        value = integer(lo, part)
        signed = (
            signed or (isinstance(value, Number) and value.signed) or (isinstance(value, Static) and value.value < 0)
        )
        lo.emit(ir.Move(result, [memory.operand(value)]))
        lo.goto(after)
    lo.start(after)
    lo.flow = conditions.joined(flows)
    return Number(result, S64 if signed else U64)


def _tuple(lo: Lowering, node: ast.Tuple | ast.List) -> Value:
    items = [expression(lo, item) for item in node.elts]
    if not all(isinstance(item, Static) for item in items):
        lo.error(node, "a tuple in a program holds constants only", hint="use a Struct")
    return Static(tuple(cast("Static", item).value for item in items))


def _walrus(lo: Lowering, node: ast.NamedExpr) -> Value:
    statements.assign_name(lo, node.target, expression(lo, node.value), None)
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
    ast.BoolOp: truth,
    ast.IfExp: _conditional,
    ast.Tuple: _tuple,
    ast.List: _tuple,
    ast.NamedExpr: _walrus,
    ast.Call: _call,
}
_UNSUPPORTED: dict[type[ast.expr], str] = {
    ast.JoinedStr: "BPF programs have no strings: send numbers up and format them in Python",
    ast.ListComp: "write a for loop over range()",
    ast.GeneratorExp: "write a for loop over range()",
    ast.Dict: "declare a HashMap in the class body",
    ast.Lambda: "write a function at module level; it is inlined",
    ast.Await: "BPF programs do not wait",
}

"""Calls: conversions, helpers and kernel functions, struct constructors, map methods, functions to inline."""

from __future__ import annotations

import ast
import inspect
import types
from typing import TYPE_CHECKING, Any, Callable, cast

from pybpf.lang import ir
from pybpf.lang.contexts import context_type
from pybpf.lang.helpers import AnyContext, Memory, session_is_return
from pybpf.lang.intrinsics import after, swap16, swap32, swap64, unroll
from pybpf.lang.lower import conditions, expressions, inline, mapcalls, memory
from pybpf.lang.surface import KernelCall, kernel_call
from pybpf.lang.values import BOOL, S64, U64, Context, Method, Nothing, Number, Pointer, Static, Value, kind_of
from pybpf.maps import Map
from pybpf.types import ArrayType, Scalar, Struct, sizeof

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering


def is_map(value: object) -> bool:
    """Whether ``value`` is the declaration of a map."""
    return isinstance(value, Map)


def call(lo: Lowering, node: ast.Call) -> Value:
    """The result of a call."""
    callee = expressions.expression(lo, node.func)
    if isinstance(callee, Method):
        return _method(lo, node, callee)
    if not isinstance(callee, Static):
        lo.error(node.func, f"{kind_of(callee)} cannot be called")
    target = callee.value
    if isinstance(target, Scalar):
        return convert(lo, node, target, expressions.integer(lo, _single(lo, node)))
    if target is bool or target is int:
        return _builtin_conversion(lo, node, target)
    if isinstance(target, type) and issubclass(target, Struct):
        return _construct(lo, node, target)
    handler = _INTRINSICS.get(target) if _hashable(target) else None
    if handler is not None:
        return handler(lo, node)
    kernel = kernel_call(target)
    if kernel is not None:
        return _kernel(lo, node, target, kernel)
    if isinstance(target, types.FunctionType):
        return inline.call(lo, node, target)
    lo.error(
        node.func,
        f"{ast.unparse(node.func)} cannot be called from a program",
        hint="call helpers, structs, or functions written in the language",
    )


def _hashable(value: object) -> bool:
    return getattr(type(value), "__hash__", None) is not None


def _single(lo: Lowering, node: ast.Call) -> ast.expr:
    if len(node.args) != 1 or node.keywords:
        lo.error(node, f"{ast.unparse(node.func)} takes one argument")
    return node.args[0]


def convert(lo: Lowering, node: ast.AST, kind: Scalar, value: Number | Static) -> Number | Static:
    """``value`` cut to the width of ``kind`` and extended by its rules, as in C."""
    if isinstance(value, Static):
        return Static(kind.wrap(value.value))
    if kind.big_endian:
        lo.error(node, f"{kind.name} describes memory, not numbers", hint="use it for fields; values are in host order")
    if kind.size == 8 or (kind.name == "bool" and value.type is BOOL):
        return Number(value.register, memory.number_type(kind))
    register = lo.register()
    lo.emit(ir.Extend(register, [value.register], bits=8 * kind.size, signed=kind.signed))
    return Number(register, memory.number_type(kind))


def _builtin_conversion(lo: Lowering, node: ast.Call, target: type) -> Value:
    argument = _single(lo, node)
    if target is bool:
        return expressions.truth(lo, argument)
    return expressions.integer(lo, argument)


def _construct(lo: Lowering, node: ast.Call, struct: type[Struct]) -> Value:
    if node.args:
        lo.error(
            node, f"{struct.__name__} takes its fields by name", hint=f"{struct.__name__}({struct.FIELDS[0].name}=...)"
        )
    names = {field.name for field in struct.FIELDS}
    values: dict[str, tuple[ast.AST, Value]] = {}
    for keyword in node.keywords:
        if keyword.arg not in names:
            lo.error(
                keyword.value,
                f"{struct.__name__} has no field {keyword.arg!r}",
                hint="it has " + ", ".join(sorted(names)),
            )
        values[keyword.arg] = (keyword.value, lo.settled(expressions.expression(lo, keyword.value)))
    return memory.construct(lo, node, struct, values)


def _method(lo: Lowering, node: ast.Call, method: Method) -> Value:
    if isinstance(method.receiver, Context):
        return _context_method(lo, node, method.receiver, method.name)
    return mapcalls.call(lo, node, method.receiver.value, method.name)


def _context_method(lo: Lowering, node: ast.Call, context: Context, name: str) -> Value:
    if name == "argument":
        offsets = context.type.arguments
        index = expressions.integer(lo, _single(lo, node))
        if not isinstance(index, Static) or not 0 <= index.value < len(offsets):
            lo.error(node, f"an argument's index is a constant from 0 to {len(offsets) - 1}")
        register = lo.register(f"argument{index.value}")
        lo.emit(ir.Load(register, [context.register], offset=offsets[index.value], size=8))
        return Number(register, U64)
    offset = expressions.integer(lo, _single(lo, node))
    register = lo.register(name)
    lo.emit(ir.PacketLoad(register, [memory.operand(offset), context.register], size=int(name[1:]) // 8))
    return Number(register, U64)


def _kernel(lo: Lowering, node: ast.Call, function: Callable[..., Any], kernel: KernelCall) -> Value:
    if function is session_is_return and lo.target.session_phase is not None:
        return Static(lo.target.session_phase == "return")
    values = _bind(lo, node, function)
    hints = (
        inspect.get_annotations(function, eval_str=True)
        if hasattr(inspect, "get_annotations")
        else _annotations(function)
    )
    arguments: list[ir.Operand] = []
    previous: Pointer | None = None
    for name, (place, value) in values.items():
        wanted = hints.get(name)
        if wanted is Memory:
            previous = _memory(lo, place, value, function.__name__, name)
            arguments.append(memory.address(lo, previous))
        elif wanted is AnyContext or context_type(wanted) is not None:
            arguments.append(_context(lo, place, value, wanted, function.__name__))
        else:
            number = memory.integer(lo, place, value)
            if name == "size" and previous is not None:
                _check_size(lo, place, previous, number)
            arguments.append(memory.operand(number))
    if kernel.helper is None:
        lo.kernel_calls.add(kernel.name)
        if lo.target.kfunc_takes_context(kernel.name):
            arguments.insert(0, _own_context(lo, node))
    return _result(lo, kernel, hints.get("return"), arguments)


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    scope = function.__globals__
    return {n: eval(a, scope) if isinstance(a, str) else a for n, a in function.__annotations__.items()}


def _result(lo: Lowering, kernel: KernelCall, returns: Any, arguments: list[ir.Operand]) -> Value:
    register = lo.register(kernel.name)
    lo.emit(
        ir.Call(register, arguments, helper=kernel.helper, kfunc=None if kernel.helper is not None else kernel.name)
    )
    if returns is bool:
        # the C ABI leaves all but the lowest byte of a bool undefined
        masked = lo.register()
        lo.emit(ir.Extend(masked, [register], bits=8))
        return Number(masked, BOOL)
    if returns is None or returns is type(None):
        return Nothing()
    return Number(register, S64 if isinstance(returns, Scalar) and returns.signed else U64)


def _bind(lo: Lowering, node: ast.Call, function: Callable[..., Any]) -> dict[str, tuple[ast.expr, Value]]:
    signature = inspect.signature(function)
    places = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    if any(isinstance(arg, ast.Starred) for arg in node.args) or len(places) != len(node.keywords):
        lo.error(node, "* and ** arguments are not in the language")
    try:
        bound = signature.bind(*node.args, **places)
    except TypeError as error:
        lo.error(node, f"{function.__name__}: {error}", hint=f"{function.__name__}{signature}")
    return {name: (place, lo.settled(expressions.expression(lo, place))) for name, place in bound.arguments.items()}


def _memory(lo: Lowering, place: ast.AST, value: Value, function: str, name: str) -> Pointer:
    if not isinstance(value, Pointer):
        lo.error(
            place,
            f"{function}: {name} is an address, not {kind_of(value)}",
            hint="pass a struct, an array field, or a value of a map",
        )
    return memory.checked(lo, place, value)


def _check_size(lo: Lowering, place: ast.AST, pointer: Pointer, size: Number | Static) -> None:
    if not isinstance(size, Static) or pointer.target is None:
        return
    room = sizeof(pointer.target)
    if isinstance(pointer.base, ir.Slot):
        room = max(room, 0)
    if size.value > room:
        lo.error(
            place,
            f"{size.value} bytes do not fit the {room} of {kind_of(pointer)}",
            hint="pass sizeof(T) of what you pass",
        )


def _context(lo: Lowering, place: ast.AST, value: Value, wanted: Any, function: str) -> ir.Operand:
    if not isinstance(value, Context):
        lo.error(place, f"{function} needs the program's context, not {kind_of(value)}")
    needed = context_type(wanted, lo.target.machine)
    if needed is not None and needed.name != value.type.name:
        lo.error(
            place,
            f"{function} works on {needed.name}; this program has {value.type.name}",
            hint="the hook decides the context",
        )
    return value.register


def _own_context(lo: Lowering, node: ast.AST) -> ir.Operand:
    return lo.function.context


# -- intrinsics: names of the language that are no functions of the kernel


def _sizeof(lo: Lowering, node: ast.Call) -> Value:
    value = expressions.expression(lo, _single(lo, node))
    if isinstance(value, Static) and (isinstance(value.value, (Scalar, ArrayType)) or _is_struct(value.value)):
        return Static(sizeof(value.value))
    if isinstance(value, Pointer) and value.target is not None:
        return Static(sizeof(value.target))
    lo.error(node, f"{kind_of(value)} has no size")


def _is_struct(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Struct)


def _len(lo: Lowering, node: ast.Call) -> Value:
    value = expressions.expression(lo, _single(lo, node))
    if isinstance(value, Pointer) and isinstance(value.target, ArrayType):
        return Static(value.target.length)
    if isinstance(value, Static) and hasattr(value.value, "__len__"):
        return Static(len(value.value))
    lo.error(node, f"{kind_of(value)} has no length")


def _after(lo: Lowering, node: ast.Call) -> Value:
    place = _single(lo, node)
    value = expressions.expression(lo, place)
    if not isinstance(value, Pointer) or value.target is None:
        lo.error(place, f"after() takes a struct in memory, not {kind_of(value)}")
    return memory.checked(lo, place, value).at(sizeof(value.target), None)


def _extreme(jump: type[ast.cmpop]) -> Callable[[Lowering, ast.Call], Value]:
    def lower(lo: Lowering, node: ast.Call) -> Value:
        if len(node.args) != 2 or node.keywords:
            lo.error(node, f"{ast.unparse(node.func)} takes two integers here")
        left, right = (lo.settled(expressions.integer(lo, place)) for place in node.args)
        if isinstance(left, Static) and isinstance(right, Static):
            return Static(min(left.value, right.value) if jump is ast.Lt else max(left.value, right.value))
        numbers = cast("tuple[Number | Static, Number | Static]", (left, right))
        result = lo.move(memory.operand(numbers[0]), "extreme")
        other, after_block = lo.new_block("other"), lo.new_block("joined")
        conditions.compare(lo, node, jump(), *numbers, after_block, other)
        lo.start(other)
        lo.emit(ir.Move(result, [memory.operand(numbers[1])]))
        lo.goto(after_block)
        lo.start(after_block)
        signed = any(isinstance(side, Number) and side.signed for side in numbers)
        return Number(result, S64 if signed else U64)

    return lower


def _swap(bits: int) -> Callable[[Lowering, ast.Call], Value]:
    def lower(lo: Lowering, node: ast.Call) -> Value:
        value = expressions.integer(lo, _single(lo, node))
        if isinstance(value, Static):
            size = bits // 8
            return Static(int.from_bytes((value.value & ((1 << bits) - 1)).to_bytes(size, "big"), "little"))
        register = lo.register()
        lo.emit(ir.ToBigEndian(register, [value.register], bits=bits))
        return Number(register, U64)

    return lower


def _loop_only(lo: Lowering, node: ast.Call) -> Value:
    lo.error(node, f"{ast.unparse(node.func)} belongs into the head of a for loop")


_INTRINSICS: dict[Any, Callable[[Any, ast.Call], Value]] = {
    sizeof: _sizeof,
    len: _len,
    after: _after,
    min: _extreme(ast.Lt),
    max: _extreme(ast.Gt),
    swap16: _swap(16),
    swap32: _swap(32),
    swap64: _swap(64),
    range: _loop_only,
    unroll: _loop_only,
}

"""Names of the language that are no functions of the kernel: sizes, extremes, byte order, int() and bool()."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Callable, cast

from pybpf.lang import ir
from pybpf.lang.intrinsics import after, swap16, swap32, swap64, unroll
from pybpf.lang.lower import arguments, comparisons, expressions, memory
from pybpf.lang.values import S64, U64, Number, Pointer, Static, Value, kind_of
from pybpf.types import ArrayType, Scalar, Struct, sizeof

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

Handler = Callable[["Lowering", ast.Call], Value]


def handler(target: object) -> Handler | None:
    """What compiles a call of ``target``, if the compiler knows it."""
    return next((compile_call for known, compile_call in _INTRINSICS if known is target), None)


def _int(lo: Lowering, node: ast.Call) -> Value:
    return expressions.integer(lo, arguments.single(lo, node))


def _bool(lo: Lowering, node: ast.Call) -> Value:
    return expressions.truth(lo, arguments.single(lo, node))


def _sizeof(lo: Lowering, node: ast.Call) -> Value:
    value = expressions.expression(lo, arguments.single(lo, node))
    if isinstance(value, Static) and (isinstance(value.value, (Scalar, ArrayType)) or _is_struct(value.value)):
        return Static(sizeof(value.value))
    if isinstance(value, Pointer) and value.target is not None:
        return Static(sizeof(value.target))
    lo.error(node, f"{kind_of(value)} has no size")


def _is_struct(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Struct)


def _len(lo: Lowering, node: ast.Call) -> Value:
    value = expressions.expression(lo, arguments.single(lo, node))
    if isinstance(value, Pointer) and isinstance(value.target, ArrayType):
        return Static(value.target.length)
    if isinstance(value, Static) and isinstance(value.value, (tuple, list, dict, set, frozenset, str, bytes, range)):
        return Static(len(value.value))
    lo.error(node, f"{kind_of(value)} has no length")


def _after(lo: Lowering, node: ast.Call) -> Value:
    place = arguments.single(lo, node)
    value = expressions.expression(lo, place)
    if not isinstance(value, Pointer) or value.target is None:
        lo.error(place, f"after() takes a struct in memory, not {kind_of(value)}")
    return memory.checked(lo, place, value).at(sizeof(value.target), None)


def _extreme(name: str, better: type[ast.cmpop]) -> Handler:
    def compile_call(lo: Lowering, node: ast.Call) -> Value:
        arguments.refuse_stars(lo, node)
        if len(node.args) < 2 or node.keywords:
            lo.error(node, f"{name} takes two integers or more here")
        values = expressions.integers(lo, node.args)
        best = values[0]
        for value in values[1:]:
            best = _better(lo, node, better(), best, value)
        return best

    return compile_call


def _better(
    lo: Lowering, node: ast.Call, better: ast.cmpop, left: Number | Static, right: Number | Static
) -> Number | Static:
    other, after_block = lo.new_block("other"), lo.new_block("joined")
    result = lo.move(memory.operand(left), "extreme")
    outcomes = comparisons.compare(lo, node, better, left, right, after_block, other)
    if outcomes.known is not None:
        lo.start(after_block if outcomes.known else other)
        return left if outcomes.known else right
    lo.start(other)
    lo.emit(ir.Move(result, [memory.operand(right)]))
    lo.goto(after_block)
    lo.start(after_block)
    signed = any(isinstance(side, Number) and side.signed for side in (left, right))
    return Number(result, S64 if signed else U64)


def _swap(bits: int) -> Handler:
    def compile_call(lo: Lowering, node: ast.Call) -> Value:
        value = expressions.integer(lo, arguments.single(lo, node))
        if isinstance(value, Static):
            low = value.value & ((1 << bits) - 1)
            return Static(int.from_bytes(low.to_bytes(bits // 8, "big"), "little"))
        register = lo.register()
        lo.emit(ir.ToBigEndian(register, [value.register], bits=bits))
        return Number(register, U64)

    return compile_call


def _loop_only(lo: Lowering, node: ast.Call) -> Value:
    lo.error(node, f"{ast.unparse(node.func)} belongs into the head of a for loop")


_INTRINSICS = cast(
    "tuple[tuple[Any, Handler], ...]",
    (
        (int, _int),
        (bool, _bool),
        (sizeof, _sizeof),
        (len, _len),
        (after, _after),
        (min, _extreme("min", ast.Lt)),
        (max, _extreme("max", ast.Gt)),
        (swap16, _swap(16)),
        (swap32, _swap(32)),
        (swap64, _swap(64)),
        (range, _loop_only),
        (unroll, _loop_only),
    ),
)

"""What can be computed while compiling is computed by Python; what Python objects to is an error of the program."""

from __future__ import annotations

import ast
import enum
import itertools
import operator
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from pybpf.lang.values import Static

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

UNROLL_LIMIT = 256
_BITS_LIMIT = 4096

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def failed(lo: Lowering, node: ast.AST, error: Exception) -> NoReturn:
    """Python could not compute a constant expression."""
    lo.error(node, f"{type(error).__name__}: {error}")


def binary(lo: Lowering, node: ast.AST, op: ast.operator, left: int, right: int) -> Static:
    """``left op right`` of two integers."""
    fold = _BINARY.get(type(op))
    if fold is None:
        lo.error(
            node, f"the operator {type(op).__name__} is not in the language", hint="use // for the integer quotient"
        )
    if isinstance(op, (ast.LShift, ast.Pow)) and right > _BITS_LIMIT:
        lo.error(node, f"a constant with more than {_BITS_LIMIT} bits")
    try:
        result = fold(left, right)
    except (ArithmeticError, ValueError) as error:
        failed(lo, node, error)
    if not isinstance(result, int) or result.bit_length() > _BITS_LIMIT:
        lo.error(node, f"the constant {'is too long' if isinstance(result, int) else 'is no integer'}")
    return Static(result)


def unary(op: ast.unaryop, value: int) -> Static:
    """``-value``, ``+value`` or ``~value``."""
    return Static(-value if isinstance(op, ast.USub) else ~value if isinstance(op, ast.Invert) else value)


def compare(lo: Lowering, node: ast.AST, op: ast.cmpop, left: Any, right: Any) -> bool:
    """``left op right`` of two constants of any kind."""
    try:
        return bool(_COMPARE[type(op)](left, right))
    except Exception as error:  # noqa: BLE001 - objects of the user's own classes may raise anything
        failed(lo, node, error)


def truth(lo: Lowering, node: ast.AST, value: Any) -> bool:
    """Whether a constant of any kind counts as true."""
    try:
        return bool(value)
    except Exception as error:  # noqa: BLE001 - objects of the user's own classes may raise anything
        failed(lo, node, error)


def attribute(lo: Lowering, node: ast.Attribute, value: Any) -> Static:
    """``value.name``."""
    try:
        found = getattr(value, node.attr)
    except Exception as error:  # noqa: BLE001 - objects of the user's own classes may raise anything
        failed(lo, node, error)
    return Static(int(found) if isinstance(found, (enum.IntEnum, enum.IntFlag)) else found)


def item(lo: Lowering, node: ast.Subscript, value: Any, index: Any) -> Static:
    """``value[index]``."""
    try:
        return Static(value[index])
    except Exception as error:  # noqa: BLE001 - objects of the user's own classes may raise anything
        failed(lo, node, error)


def members(lo: Lowering, node: ast.AST, value: Any) -> list[Any]:
    """The members of a constant sequence that a loop goes over, or that ``in`` looks through."""
    if isinstance(value, str) or not hasattr(type(value), "__iter__"):
        lo.error(node, f"{value!r} is no sequence of constants")
    try:
        found = list(itertools.islice(value, UNROLL_LIMIT + 1))
    except Exception as error:  # noqa: BLE001 - objects of the user's own classes may raise anything
        failed(lo, node, error)
    if len(found) > UNROLL_LIMIT:
        lo.error(node, f"more than {UNROLL_LIMIT} members are too many for code that is repeated", hint="use range()")
    return found

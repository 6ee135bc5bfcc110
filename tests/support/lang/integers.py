"""Integers by the rules of the language: what is in a register, what is a constant, what memory makes of them."""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import Any, Callable

from pybpf.types import Scalar

U64 = (1 << 64) - 1

Value = Any
"""An Int, a constant of Python, a Ref or None."""


@dataclass(frozen=True)
class Int:
    """64 bits in a register: unsigned ("u"), signed ("s") or a truth value ("b")."""

    value: int
    kind: str

    def __bool__(self) -> bool:
        return self.value != 0


@dataclass(frozen=True)
class Ref:
    """Something of type ``type`` at ``offset`` of ``memory``."""

    memory: bytearray
    offset: int
    type: Any

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def wrapped(value: int, kind: str) -> Int:
    """``value`` modulo 2**64, read as ``kind``."""
    value &= U64
    return Int(value - (1 << 64) if kind == "s" and value >> 63 else value, kind)


def plain(value: Value) -> int:
    """The number that an integer stands for."""
    return value.value if isinstance(value, Int) else int(value)


def is_signed(value: Value) -> bool:
    """Whether an integer in a register is signed; constants are not."""
    return isinstance(value, Int) and value.kind == "s"


_ARITHMETIC: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_ALL: dict[type, Callable[[int, int], int]] = {
    **_ARITHMETIC,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_COMPARE: dict[type, Callable[[int, int], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def binary(op: ast.operator, left: Value, right: Value) -> Value:
    """``left op right``."""
    if not isinstance(left, Int) and not isinstance(right, Int):
        return _ALL[type(op)](left, right)
    a, b = plain(left), plain(right)
    if isinstance(op, (ast.LShift, ast.RShift)):
        kind = "s" if is_signed(left) or (not isinstance(left, Int) and a < 0) else "u"
        return wrapped(_ALL[type(op)](wrapped(a, kind).value, b & 63), kind)
    kind = "s" if is_signed(left) or is_signed(right) else "u"
    if isinstance(op, (ast.FloorDiv, ast.Mod)):
        if b == 0:
            return wrapped(0 if isinstance(op, ast.FloorDiv) else a, kind)
        return wrapped(_ALL[type(op)](a, b), kind)
    return wrapped(_ARITHMETIC[type(op)](a, b), kind)


def compare(op: ast.cmpop, left: Value, right: Value) -> bool:
    """``left op right``, on the bits of both where one is signed and the other is not."""
    a, b = plain(left), plain(right)
    if isinstance(left, Int) and isinstance(right, Int):
        kind = "s" if is_signed(left) or is_signed(right) else "u"
        a, b = wrapped(a, kind).value, wrapped(b, kind).value
    return _COMPARE[type(op)](a, b)


def convert(kind: Scalar, value: Value) -> Value:
    """``value`` as ``kind``; constants stay constants."""
    number = int(plain(value) != 0) if kind.name == "bool" else kind.wrap(plain(value))
    if not isinstance(value, Int):
        return bool(number) if kind.name == "bool" else number
    return Int(number, "b" if kind.name == "bool" else "s" if kind.signed else "u")

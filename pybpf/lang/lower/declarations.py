"""Annotations of variables, parameters and results: integer types convert, the rest is checked or for type checkers."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from pybpf.lang.lower import expressions
from pybpf.lang.values import Pointer, Static, Value, kind_of
from pybpf.types import Scalar, Struct, boolean

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

_TYPES = "u8 to u64, s8 to s64, bool, int, or a Struct"


def of_variable(lo: Lowering, node: ast.AnnAssign) -> Scalar | None:
    """The integer type that ``name: type = value`` converts to; None where it converts nothing.

    Raises:
        CompileError: the annotation is no type of the language.
    """
    kind = _evaluated(lo, _unquoted(lo, node.annotation))
    if kind is int or _struct(kind) is not None:
        return None
    scalar = _scalar(kind)
    if scalar is None:
        lo.error(node.annotation, f"{ast.unparse(node.annotation)} is no type of the language", hint=_TYPES)
    if scalar.big_endian:
        lo.error(
            node.annotation,
            f"{scalar.name} describes memory, not numbers",
            hint=f"values are in host order: {scalar.name[:-2]}",
        )
    return scalar


def check_pointer(lo: Lowering, node: ast.AnnAssign, value: Value) -> None:
    """Refuse a value that is no pointer to the Struct that the annotation names."""
    struct = _struct(_evaluated(lo, _unquoted(lo, node.annotation)))
    if struct is None or (isinstance(value, Static) and value.value is None):
        return
    if not isinstance(value, Pointer) or value.target is not struct:
        lo.error(node, f"declared as {struct.__name__}, but this is {kind_of(value)}")


def of_signature(lo: Lowering, node: ast.expr | None) -> Scalar | None:
    """The integer type that a parameter or a result is converted to; anything else is left to type checkers."""
    while isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = _unquoted(lo, node)
    if not isinstance(node, (ast.Name, ast.Attribute)):
        return None
    try:
        found = _resolved(lo, node)
    except (KeyError, AttributeError):
        return None
    scalar = _scalar(found)
    return None if scalar is None or scalar.big_endian else scalar


def of_context(lo: Lowering, node: ast.expr) -> Any:
    """The class that the annotation of a program's context names."""
    value = expressions.expression(lo, _unquoted(lo, node))
    return value.value if isinstance(value, Static) else None


def _resolved(lo: Lowering, node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return lo.frame.source.lookup(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_resolved(lo, node.value), node.attr)
    raise KeyError(ast.dump(node))


def _unquoted(lo: Lowering, node: ast.expr) -> ast.expr:
    """What a quoted annotation says."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return node
    try:
        inner = ast.parse(node.value.strip(), mode="eval").body
    except SyntaxError:
        lo.error(node, f"{node.value!r} is no type of the language", hint=_TYPES)
    for child in ast.walk(inner):
        ast.copy_location(child, node)
    return inner


def _evaluated(lo: Lowering, node: ast.expr) -> Any:
    """The type named, without the ``| None`` of a pointer that may be None."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(other, ast.Constant) and other.value is None:
                return _evaluated(lo, side)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).rsplit(".", 1)[-1] == "Optional":
        return _evaluated(lo, node.slice)
    if not isinstance(node, (ast.Name, ast.Attribute)):
        lo.error(node, f"{ast.unparse(node)} is no type of the language", hint=_TYPES)
    value = expressions.expression(lo, node)
    return value.value if isinstance(value, Static) else None


def _scalar(kind: Any) -> Scalar | None:
    if kind is bool:
        return boolean  # type: ignore[return-value]  # an int type for checkers, a Scalar when it runs
    return kind if isinstance(kind, Scalar) else None


def _struct(kind: Any) -> type[Struct] | None:
    return kind if isinstance(kind, type) and issubclass(kind, Struct) else None

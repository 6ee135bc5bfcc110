"""Structs on the stack, and copies of structs and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pybpf.lang import ir
from pybpf.lang.lower import memory
from pybpf.lang.values import Number, Pointer, Space, Static, Value
from pybpf.types import Scalar, sizeof

if TYPE_CHECKING:
    import ast

    from pybpf.lang.lower.state import Lowering
    from pybpf.types import BpfType, Field, Struct

_COPY_LIMIT = 256


@dataclass(frozen=True)
class Given:
    """A value for a field in a constructor, and where it is written."""

    field: Field
    node: ast.AST
    value: Value


def construct(lo: Lowering, struct: type[Struct], given: list[Given]) -> Pointer:
    """A struct on the stack with the given fields; all other bytes, gaps included, are zero."""
    ready = [Given(item.field, item.node, _snapshot(lo, item)) for item in given]
    pointer = Pointer(lo.function.slot(struct.__name__, max(struct.SIZE, 1), 8, lo.line), 0, struct, Space.STACK)
    covered = bytearray(struct.SIZE)
    for item in ready:
        size = sizeof(item.field.type)
        covered[item.field.offset : item.field.offset + size] = b"\1" * size
    _zero(lo, pointer, covered)
    for item in ready:
        memory.store(lo, item.node, pointer.at(item.field.offset, item.field.type), item.value)
    return pointer


def _snapshot(lo: Lowering, given: Given) -> Value:
    """The value to store, safe from the stores before it: in a loop it may lie in the struct that is built."""
    if isinstance(given.field.type, Scalar):
        return memory.integer(lo, given.node, given.value)
    value = given.value
    if not isinstance(value, Pointer) or value.target != given.field.type or isinstance(value.base, ir.Slot):
        return value
    slot = lo.function.slot(memory.name_of(given.field.type), sizeof(given.field.type), 8, lo.line)
    kept = Pointer(slot, 0, given.field.type, Space.STACK)
    copy(lo, given.node, kept, memory.checked(lo, given.node, value))
    return kept


def _zero(lo: Lowering, pointer: Pointer, covered: bytearray) -> None:
    """Write zeros to the aligned words at ``pointer`` that have a byte not ``covered``."""
    size = len(covered)
    for start in range(0, size, 8):
        if all(covered[start : start + 8]):
            continue
        for offset, width in _pieces(start, min(8, size - start)):
            _store_word(lo, pointer, offset, width, Static(0))


def _pieces(start: int, length: int) -> list[tuple[int, int]]:
    pieces = []
    while length:
        width = max(w for w in (8, 4, 2, 1) if w <= length and start % w == 0)
        pieces.append((start, width))
        start, length = start + width, length - width
    return pieces


def _store_word(lo: Lowering, pointer: Pointer, offset: int, width: int, value: Number | Static) -> None:
    slot, base = memory.place(pointer)
    lo.emit(ir.Store(None, [memory.operand(value), *base], slot=slot, offset=pointer.offset + offset, size=width))


def copy(lo: Lowering, node: ast.AST, destination: Pointer, source: Pointer) -> None:
    """Copy a struct or array, in the widest steps that both places allow."""
    size = sizeof(cast("BpfType", destination.target))
    if size > _COPY_LIMIT:
        lo.error(
            node,
            f"{size} bytes are too many to copy in place (at most {_COPY_LIMIT})",
            hint="pass the address to a helper, or copy the fields that are needed",
        )
    step = min(memory.reach(destination), memory.reach(source))
    position = 0
    while position < size:
        width = max(w for w in (8, 4, 2, 1) if w <= step and w <= size - position)
        slot, base = memory.place(source)
        word = lo.register()
        lo.emit(ir.Load(word, list(base), slot=slot, offset=source.offset + position, size=width))
        _store_word(lo, destination, position, width, Number(word, Scalar("u64", 8)))
        position += width

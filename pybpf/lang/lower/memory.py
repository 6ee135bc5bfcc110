"""Addresses: loads, stores, structs on the stack, arguments passed by pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pybpf.asm import AluOp
from pybpf.lang import ir
from pybpf.lang.values import BOOL, S64, U64, Number, Pointer, Space, Static, Value, kind_of
from pybpf.types import ArrayType, Scalar, Struct, alignof, sizeof

if TYPE_CHECKING:
    import ast

    from pybpf.lang.lower.state import Lowering
    from pybpf.types import BpfType

STACK_BYTES = 512
_COPY_LIMIT = 256


def number_type(kind: Scalar) -> Scalar:
    """The type of an integer of memory type ``kind`` once it is in a register."""
    if kind.name == "bool":
        return BOOL
    return S64 if kind.signed else U64


def checked(lo: Lowering, node: ast.AST, pointer: Pointer) -> Pointer:
    """``pointer``, which must be known not to be None."""
    if pointer.nullable:
        name = getattr(node, "id", "the value")
        lo.error(
            node,
            f"{name!r} may be None here" if name != "the value" else "the value may be None here",
            hint=f"test it first: if {name} is None: return ..."
            if name != "the value"
            else "assign it and test it for None",
        )
    return pointer


def address(lo: Lowering, pointer: Pointer) -> ir.VReg:
    """The address in a register."""
    if isinstance(pointer.base, ir.Slot):
        register = lo.register()
        lo.emit(ir.Address(register, slot=pointer.base, offset=pointer.offset))
        return register
    if pointer.offset == 0:
        return pointer.base
    register = lo.register()
    lo.emit(ir.Alu(register, [pointer.base, pointer.offset], op=AluOp.ADD))
    return register


def load(lo: Lowering, pointer: Pointer) -> Value:
    """What lies at ``pointer``: an integer, or a pointer to the struct or array that begins there."""
    kind = pointer.target
    if not isinstance(kind, Scalar):
        return pointer
    register = lo.register()
    slot, base = _base(pointer)
    lo.emit(ir.Load(register, base, slot=slot, offset=pointer.offset, size=kind.size))
    if kind.swapped:
        swapped = lo.register()
        lo.emit(ir.ToBigEndian(swapped, [register], bits=8 * kind.size))
        register = swapped
    if kind.signed and kind.size < 8:
        wide = lo.register()
        lo.emit(ir.Extend(wide, [register], bits=8 * kind.size, signed=True))
        register = wide
    return Number(register, number_type(kind))


def store(lo: Lowering, node: ast.AST, pointer: Pointer, value: Value) -> None:
    """Write ``value``, an integer or a struct, to ``pointer``."""
    kind = pointer.target
    if isinstance(kind, Scalar):
        _store_scalar(lo, pointer, kind, integer(lo, node, value))
        return
    if isinstance(value, Pointer) and value.target == kind and kind is not None:
        copy(lo, node, pointer, checked(lo, node, value))
        return
    wanted = kind.__name__ if isinstance(kind, type) else repr(kind)
    lo.error(node, f"cannot store {kind_of(value)} where {wanted} lies", hint="assign its fields one by one")


def copy(lo: Lowering, node: ast.AST, destination: Pointer, source: Pointer) -> None:
    """Copy a struct or array, in the widest steps that its alignment allows."""
    kind = destination.target
    size, step = sizeof(_known(kind)), min(8, alignof(_known(kind)))
    if size > _COPY_LIMIT:
        lo.error(node, f"{size} bytes are too many to copy in place (at most {_COPY_LIMIT})")
    for offset in range(0, size, step):
        scalar = Scalar(f"u{8 * step}", step)
        word = load(lo, source.at(offset, scalar))
        _store_scalar(lo, destination.at(offset, scalar), scalar, cast("Number", word))


def integer(lo: Lowering, node: ast.AST, value: Value) -> Number | Static:
    """``value`` as an integer: constants stay constants, pointers to integers are read."""
    if isinstance(value, Static) and isinstance(value.value, int):
        return Static(int(value.value))
    if isinstance(value, Number):
        return value
    if isinstance(value, Pointer) and isinstance(value.target, Scalar):
        return cast("Number", load(lo, checked(lo, node, value)))
    hint = None
    if isinstance(value, Static) and isinstance(value.value, float):
        hint = "BPF has no floating point: scale to integers (nanoseconds, per mille)"
    elif isinstance(value, Pointer) and not isinstance(value.target, Scalar):
        hint = "name the field that you mean"
    lo.error(node, f"expected an integer, got {kind_of(value)}", hint)


def operand(value: Number | Static) -> ir.Operand:
    """The register or the constant of an integer."""
    return value.register if isinstance(value, Number) else cast("int", value.value)


def in_register(lo: Lowering, value: Number | Static) -> ir.VReg:
    """An integer in a register."""
    return value.register if isinstance(value, Number) else lo.move(cast("int", value.value))


def by_reference(lo: Lowering, node: ast.AST, value: Value, kind: BpfType, what: str) -> ir.VReg:
    """The address of ``value`` as ``kind``, for helpers that take keys and values by pointer."""
    if isinstance(value, Pointer) and value.target == kind:
        return address(lo, checked(lo, node, value))
    if isinstance(kind, Scalar):
        slot = lo.function.slot(what, kind.size, 8, lo.line)
        pointer = Pointer(slot, 0, kind, Space.STACK)
        _store_scalar(lo, pointer, kind, integer(lo, node, value))
        return address(lo, pointer)
    wanted = kind.__name__ if isinstance(kind, type) else repr(kind)
    lo.error(node, f"the {what} must be {wanted}, not {kind_of(value)}")


def construct(lo: Lowering, node: ast.Call, struct: type[Struct], values: dict[str, tuple[ast.AST, Value]]) -> Pointer:
    """A struct on the stack with the given fields; all other bytes, gaps included, are zero."""
    slot = lo.function.slot(struct.__name__, max(struct.SIZE, 1), 8, lo.line)
    pointer = Pointer(slot, 0, struct, Space.STACK)
    ready: list[tuple[Any, ast.AST, Value]] = []
    covered = bytearray(-(-struct.SIZE // 8) * 8)
    for name, (place, value) in values.items():
        field = struct.field(name)
        if isinstance(field.type, Scalar):
            value = integer(lo, place, value)
        ready.append((field, place, value))
        covered[field.offset : field.offset + sizeof(field.type)] = b"\1" * sizeof(field.type)
    zero(lo, pointer, covered)
    for field, place, value in ready:
        store(lo, place, pointer.at(field.offset, field.type), value)
    return pointer


def zero(lo: Lowering, pointer: Pointer, covered: bytearray) -> None:
    """Write zeros to the aligned words at ``pointer`` that have a byte not ``covered``."""
    size = sizeof(_known(pointer.target))
    for start in range(0, len(covered), 8):
        if all(covered[start : min(start + 8, size)]):
            continue
        for offset, width in _pieces(start, min(8, size - start)):
            kind = Scalar(f"u{8 * width}", width)
            _store_scalar(lo, pointer.at(offset, kind), kind, Static(0))


def _pieces(start: int, length: int) -> list[tuple[int, int]]:
    pieces = []
    while length:
        width = max(w for w in (8, 4, 2, 1) if w <= length and start % w == 0)
        pieces.append((start, width))
        start, length = start + width, length - width
    return pieces


def _store_scalar(lo: Lowering, pointer: Pointer, kind: Scalar, value: Number | Static) -> None:
    item = operand(value)
    if isinstance(item, int):
        item = int.from_bytes(
            Scalar("", kind.size).wrap(item).to_bytes(kind.size, "big" if kind.swapped else "little"), "little"
        )
    elif kind.swapped:
        swapped = lo.register()
        lo.emit(ir.ToBigEndian(swapped, [item], bits=8 * kind.size))
        item = swapped
    slot, base = _base(pointer)
    lo.emit(ir.Store(None, [item, *base], slot=slot, offset=pointer.offset, size=kind.size))


def _base(pointer: Pointer) -> tuple[ir.Slot | None, list[ir.Operand]]:
    if isinstance(pointer.base, ir.Slot):
        return pointer.base, []
    return None, [pointer.base]


def place(pointer: Pointer) -> tuple[ir.Slot | None, list[ir.Operand]]:
    """The slot, or the base register, of a memory instruction at ``pointer``."""
    return _base(pointer)


def _known(kind: BpfType | None) -> BpfType:
    if kind is None:
        raise ValueError("bytes of unknown shape have no size")
    return kind


def array_element(lo: Lowering, node: ast.Subscript, pointer: Pointer, index: Number | Static) -> Pointer:
    """A pointer to one element of an array; a constant index is checked here, any other by the verifier."""
    kind = cast("ArrayType", pointer.target)
    step = sizeof(kind.element)
    if isinstance(index, Static):
        if not 0 <= index.value < kind.length:
            lo.error(node.slice, f"index {index.value} is outside of {kind!r}")
        return pointer.at(index.value * step, kind.element)
    scaled = index.register
    if step != 1:
        scaled = lo.register()
        if step & (step - 1) == 0:
            lo.emit(ir.Alu(scaled, [index.register, step.bit_length() - 1], op=AluOp.LSH))
        else:
            lo.emit(ir.Alu(scaled, [index.register, step], op=AluOp.MUL))
    base = lo.register()
    if isinstance(pointer.base, ir.Slot):
        lo.emit(ir.Address(base, slot=pointer.base, offset=pointer.offset))
        moved = lo.register()
        lo.emit(ir.Alu(moved, [base, scaled], op=AluOp.ADD))
        return Pointer(moved, 0, kind.element, pointer.space)
    lo.emit(ir.Alu(base, [pointer.base, scaled], op=AluOp.ADD))
    return Pointer(base, pointer.offset, kind.element, pointer.space)

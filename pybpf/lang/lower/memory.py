"""Addresses: loads, stores, elements of arrays, arguments passed by pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pybpf.asm import AluOp
from pybpf.lang import ir
from pybpf.lang.lower import arithmetic, structs
from pybpf.lang.values import BOOL, S64, U64, Number, Pointer, Space, Static, Value, kind_of
from pybpf.types import ArrayType, Scalar, Struct, sizeof

if TYPE_CHECKING:
    import ast

    from pybpf.lang.lower.state import Lowering
    from pybpf.types import BpfType


def number_type(kind: Scalar) -> Scalar:
    """The type of an integer of memory type ``kind`` once it is in a register."""
    if kind.name == "bool":
        return BOOL
    return S64 if kind.signed else U64


def name_of(kind: BpfType) -> str:
    """A type in words for an error message."""
    return kind.__name__ if isinstance(kind, type) else repr(kind)


def checked(lo: Lowering, node: ast.AST, pointer: Pointer) -> Pointer:
    """``pointer``, which must be known not to be None."""
    if pointer.nullable:
        name = getattr(node, "id", None)
        lo.error(
            node,
            f"{name!r} may be None here" if name else "the value may be None here",
            hint=f"test it first: if {name} is None: return ..." if name else "assign it and test it for None",
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


def place(pointer: Pointer) -> tuple[ir.Slot | None, list[ir.Operand]]:
    """The slot, or the base register, of a memory instruction at ``pointer``."""
    if isinstance(pointer.base, ir.Slot):
        return pointer.base, []
    return None, [pointer.base]


def load(lo: Lowering, pointer: Pointer) -> Value:
    """What lies at ``pointer``: an integer, or a pointer to the struct or array that begins there."""
    kind = pointer.target
    if not isinstance(kind, Scalar):
        return pointer
    register = _load_bits(lo, pointer, kind.size)
    if kind.swapped:
        swapped = lo.register()
        lo.emit(ir.ToBigEndian(swapped, [register], bits=8 * kind.size))
        register = swapped
    if kind.signed and kind.size < 8:
        wide = lo.register()
        lo.emit(ir.Extend(wide, [register], bits=8 * kind.size, signed=True))
        register = wide
    return Number(register, number_type(kind))


def reach(pointer: Pointer) -> int:
    """The bytes that one instruction may access at ``pointer``: the verifier wants the stack aligned, nothing else."""
    return pointer.alignment if pointer.space is Space.STACK else 8


def _load_bits(lo: Lowering, pointer: Pointer, size: int) -> ir.VReg:
    unit = min(size, reach(pointer))
    slot, base = place(pointer)
    result = lo.register()
    lo.emit(ir.Load(result, list(base), slot=slot, offset=pointer.offset, size=unit))
    for done in range(unit, size, unit):
        part, shifted, joined = lo.register(), lo.register(), lo.register()
        lo.emit(ir.Load(part, list(base), slot=slot, offset=pointer.offset + done, size=unit))
        lo.emit(ir.Alu(shifted, [part, 8 * done], op=AluOp.LSH))
        lo.emit(ir.Alu(joined, [result, shifted], op=AluOp.OR))
        result = joined
    return result


def store(lo: Lowering, node: ast.AST, pointer: Pointer, value: Value) -> None:
    """Write ``value``, an integer or a struct, to ``pointer``."""
    kind = pointer.target
    if isinstance(kind, Scalar):
        store_integer(lo, node, pointer, integer(lo, node, value))
        return
    if isinstance(value, Pointer) and value.target == kind and kind is not None:
        structs.copy(lo, node, pointer, checked(lo, node, value))
        return
    wanted = "bytes" if kind is None else name_of(kind)
    hint = "assign its fields one by one" if isinstance(kind, type) else "assign its elements one by one"
    lo.error(node, f"cannot store {kind_of(value)} where {wanted} lies", hint)


def store_integer(lo: Lowering, node: ast.AST, pointer: Pointer, value: Number | Static) -> None:
    """Write an integer, cut to the width of what lies at ``pointer``."""
    kind = cast("Scalar", pointer.target)
    if kind.name == "bool":
        value = arithmetic.convert(lo, node, kind, value)
    item = operand(value)
    if isinstance(item, int):
        bits = Scalar("", kind.size).wrap(arithmetic.fitting(lo, node, kind, item))
        item = int.from_bytes(bits.to_bytes(kind.size, "big" if kind.swapped else "little"), "little")
    elif kind.swapped:
        swapped = lo.register()
        lo.emit(ir.ToBigEndian(swapped, [item], bits=8 * kind.size))
        item = swapped
    _store_bits(lo, pointer, kind.size, item)


def _store_bits(lo: Lowering, pointer: Pointer, size: int, item: ir.Operand) -> None:
    unit = min(size, reach(pointer))
    slot, base = place(pointer)
    for done in range(0, size, unit):
        part = item
        if done and isinstance(item, int):
            part = item >> 8 * done
        elif done:
            part = lo.register()
            lo.emit(ir.Alu(part, [item, 8 * done], op=AluOp.RSH))
        lo.emit(ir.Store(None, [part, *base], slot=slot, offset=pointer.offset + done, size=unit))


def integer(lo: Lowering, node: ast.AST, value: Value) -> Number | Static:
    """``value`` as an integer: constants stay constants, pointers to integers are read."""
    if isinstance(value, Static) and isinstance(value.value, int):
        return Static(int(value.value))
    if isinstance(value, Number):
        return value
    if isinstance(value, Pointer) and isinstance(value.target, Scalar):
        return cast("Number", load(lo, checked(lo, node, value)))
    hint = None
    if isinstance(value, Static) and isinstance(value.value, (float, complex)):
        hint = "BPF has no floating point: scale to integers (nanoseconds, per mille)"
    elif isinstance(value, Pointer) and isinstance(value.target, type) and issubclass(value.target, Struct):
        hint = "name the field that you mean"
    elif isinstance(value, Pointer) and isinstance(value.target, ArrayType):
        hint = "name the element that you mean: bytes are compared one by one, or in Python"
    lo.error(node, f"expected an integer, got {kind_of(value)}", hint)


def read(lo: Lowering, node: ast.AST, value: Value) -> Value:
    """``value``, and if it is a pointer to an integer that integer as it is now."""
    if isinstance(value, Pointer) and isinstance(value.target, Scalar) and not value.nullable:
        return load(lo, value)
    return value


def operand(value: Number | Static) -> ir.Operand:
    """The register or the constant of an integer."""
    return value.register if isinstance(value, Number) else cast("int", value.value)


def constant(value: Number | Static) -> int:
    """The value of an integer that is known while compiling."""
    assert isinstance(value, Static)
    return int(value.value)


def in_register(lo: Lowering, value: Number | Static) -> ir.VReg:
    """An integer in a register."""
    return value.register if isinstance(value, Number) else lo.move(cast("int", value.value))


def by_reference(lo: Lowering, node: ast.AST, value: Value, kind: BpfType, what: str) -> ir.VReg:
    """The address of ``value`` as ``kind``, for helpers that take keys and values by pointer."""
    if isinstance(value, Pointer) and value.target == kind:
        return address(lo, checked(lo, node, value))
    if isinstance(kind, Scalar):
        pointer = Pointer(lo.function.slot(what, kind.size, 8, lo.line), 0, kind, Space.STACK)
        store_integer(lo, node, pointer, integer(lo, node, value))
        return address(lo, pointer)
    hint = f"{kind.__name__}({kind.FIELDS[0].name}=...)" if isinstance(kind, type) and kind.FIELDS else None
    lo.error(node, f"the {what} must be {name_of(kind)}, not {kind_of(value)}", hint)


def array_element(lo: Lowering, node: ast.Subscript, pointer: Pointer, index: Number | Static) -> Pointer:
    """A pointer to one element of an array; a constant index is checked here, any other by the verifier."""
    kind = cast("ArrayType", pointer.target)
    step = sizeof(kind.element)
    if isinstance(index, Static):
        if not 0 <= index.value < kind.length:
            lo.error(node.slice, f"index {index.value} is outside of {kind!r}", hint=f"0 to {kind.length - 1}")
        return pointer.at(index.value * step, kind.element)
    scaled = arithmetic.scaled(lo, index, step).register
    align = min(pointer.align, step & -step)
    base = lo.register()
    if isinstance(pointer.base, ir.Slot):
        start = address(lo, pointer)
        lo.emit(ir.Alu(base, [start, scaled], op=AluOp.ADD))
        return Pointer(base, 0, kind.element, pointer.space, align=min(align, pointer.alignment))
    lo.emit(ir.Alu(base, [pointer.base, scaled], op=AluOp.ADD))
    return Pointer(base, pointer.offset, kind.element, pointer.space, align=align)

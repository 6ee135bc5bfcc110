"""What a relocation asks for, computed of one access: offsets, sizes, signs, shifts, values of enumerations."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pybpf.btf import BtfError, Composite, Enumeration, Int, Pointer, size_of, strip
from pybpf.objfile.btf_ext import CoreKind

if TYPE_CHECKING:
    from pybpf.btf import Btf
    from pybpf.objfile.core.access import Access


@dataclass(frozen=True)
class FieldValue:
    """An answer about a field; ``size`` in bytes and ``plain`` (pointer or unsigned) tell whether a load may change."""

    value: int
    size: int = 0
    plain: bool = False


def field_value(btf: Btf, access: Access, kind: CoreKind) -> FieldValue:
    """The answer for a field that exists.

    Raises:
        BtfError: the question makes no sense for it.
    """
    if kind is CoreKind.FIELD_EXISTS:
        return FieldValue(1)
    step = access.last
    if step.name is None:
        if kind is CoreKind.FIELD_BYTE_OFFSET:
            return FieldValue(access.bit_offset // 8, size_of(btf, step.type_id), _plain(btf, step.type_id))
        if kind is CoreKind.FIELD_BYTE_SIZE:
            return FieldValue(size_of(btf, step.type_id))
        raise BtfError(f"{kind.name} is asked of an element of an array", step.type_id)
    outer = btf.type(step.type_id)
    assert isinstance(outer, Composite)
    item = outer.members[step.index]
    behind = strip(btf, item.type)
    bits, bit_offset = item.bit_size, access.bit_offset
    old = btf.type(behind)
    if not bits and isinstance(old, Int) and old.bits and old.bits != 8 * old.size:
        # bit fields as compilers wrote them before the flag in the struct's record
        bits, bit_offset = old.bits, bit_offset + old.offset
    size = size_of(btf, item.type)
    if bits:
        offset = bit_offset // 8 // size * size
        while bit_offset + bits > 8 * (offset + size):
            if size >= 8:
                raise BtfError(f"bit field {item.name} does not lie within 8 bytes", step.type_id)
            size *= 2
            offset = bit_offset // 8 // size * size
    else:
        offset, bits = bit_offset // 8, 8 * size
    if kind is CoreKind.FIELD_BYTE_OFFSET:
        return FieldValue(offset, 0 if item.bit_size else size, _plain(btf, behind))
    if kind is CoreKind.FIELD_BYTE_SIZE:
        return FieldValue(size)
    if kind is CoreKind.FIELD_SIGNED:
        found = btf.type(behind)
        return FieldValue(int(isinstance(found, (Int, Enumeration)) and found.signed))
    if kind is CoreKind.FIELD_RSHIFT_U64:
        return FieldValue(64 - bits)
    if sys.byteorder == "little":
        return FieldValue(64 - (bit_offset + bits - 8 * offset))
    return FieldValue(8 * (8 - size) + bit_offset - 8 * offset)


def enum_value(btf: Btf, access: Access) -> int:
    """The number of the name that an access found."""
    kind = btf.type(access.last.type_id)
    assert isinstance(kind, Enumeration)
    return kind.values[access.last.index].value


def _plain(btf: Btf, type_id: int) -> bool:
    kind = btf.type(strip(btf, type_id))
    return isinstance(kind, Pointer) or (isinstance(kind, Int) and not kind.signed)

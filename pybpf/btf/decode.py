"""From the words of a record to a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from pybpf.btf.kinds import FuncLinkage, IntEncoding, Kind, VarLinkage
from pybpf.btf.types import (
    Array,
    Composite,
    DataSection,
    DeclTag,
    Enumeration,
    EnumValue,
    Float,
    Forward,
    Func,
    FuncProto,
    Int,
    Member,
    Parameter,
    Pointer,
    Qualifier,
    SectionItem,
    Typedef,
    TypeTag,
    Var,
)

if TYPE_CHECKING:
    from pybpf.btf.types import Type

    String = Callable[[int], str]

_QUALIFIERS = (Kind.CONST, Kind.VOLATILE, Kind.RESTRICT)


def decode_type(words: memoryview, place: int, string: String) -> Type:
    """The type whose record begins at word ``place``; ``string`` gives the string at an offset.

    Raises:
        ValueError: a number in it has no meaning.
    """
    name_offset, info, last = words[place : place + 3]
    kind = Kind(info >> 24 & 0x1F)
    count, flag = info & 0xFFFF, bool(info >> 31)
    tail = words[place + 3 :]
    name = string(name_offset)
    if kind in (Kind.STRUCT, Kind.UNION):
        return Composite(name, last, _members(tail, count, flag, string), kind is Kind.UNION)
    if kind is Kind.FUNC_PROTO:
        pairs = range(0, 2 * count, 2)
        return FuncProto(last, tuple(Parameter(string(tail[at]), tail[at + 1]) for at in pairs))
    if kind in (Kind.ENUM, Kind.ENUM64):
        return Enumeration(name, last, _values(tail, count, kind, flag, string), flag, kind is Kind.ENUM64)
    if kind is Kind.DATASEC:
        triples = range(0, 3 * count, 3)
        return DataSection(name, last, tuple(SectionItem(*tail[at : at + 3]) for at in triples))
    if kind is Kind.FUNC:
        return Func(name, last, FuncLinkage(count))
    if kind is Kind.INT:
        word = tail[0]
        return Int(name, last, IntEncoding(word >> 24 & 0x0F), word & 0xFF, word >> 16 & 0xFF)
    if kind is Kind.ARRAY:
        return Array(tail[0], tail[1], tail[2])
    if kind in _QUALIFIERS:
        return Qualifier(kind, last)
    return _simple(kind, name, last, tail, flag)


def _simple(kind: Kind, name: str, last: int, tail: memoryview, flag: bool) -> Type:
    if kind is Kind.PTR:
        return Pointer(last)
    if kind is Kind.TYPEDEF:
        return Typedef(name, last)
    if kind is Kind.FWD:
        return Forward(name, flag)
    if kind is Kind.VAR:
        return Var(name, last, VarLinkage(tail[0]))
    if kind is Kind.FLOAT:
        return Float(name, last)
    if kind is Kind.DECL_TAG:
        return DeclTag(name, last, _signed(tail[0], 32))
    return TypeTag(name, last)


def _members(tail: memoryview, count: int, flag: bool, string: String) -> tuple[Member, ...]:
    out: list[Member] = []
    for at in range(0, 3 * count, 3):
        name_offset, kind, where = tail[at : at + 3]
        # With the flag, the top eight bits of the offset are the width of a bit field (Linux 5.0).
        bit_offset, bit_size = (where & 0xFF_FFFF, where >> 24) if flag else (where, 0)
        out.append(Member(string(name_offset), kind, bit_offset, bit_size))
    return tuple(out)


def _values(tail: memoryview, count: int, kind: Kind, signed: bool, string: String) -> tuple[EnumValue, ...]:
    step, bits = (3, 64) if kind is Kind.ENUM64 else (2, 32)
    out: list[EnumValue] = []
    for at in range(0, step * count, step):
        value = tail[at + 1] | (tail[at + 2] << 32 if bits == 64 else 0)
        out.append(EnumValue(string(tail[at]), _signed(value, bits) if signed else value))
    return tuple(out)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value

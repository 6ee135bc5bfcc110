"""The BTF of an object made fit for the kernel: what only a linker knows is filled in, what it refuses is rewritten.

After ``btf_fixup_datasec`` and ``bpf_object__collect_externs`` of libbpf: sections of variables get their sizes and
offsets; what is declared ``extern`` is no longer so; hidden functions are static, so that the verifier checks them
where they are called.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pybpf.btf import Btf, BtfError, FuncLinkage, Kind, VarLinkage
from pybpf.btf.kinds import FIXED_WORDS, HEADER_LAYOUT, TYPE_WORDS, VOID, WORDS_PER_ITEM
from pybpf.objfile.image import SymbolKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybpf.objfile.image import ObjectImage

_EXTERNS = (".ksyms", ".kconfig")
_WORD = struct.Struct("=I")


def fixed_btf(data: bytes, btf: Btf, image: ObjectImage) -> bytes:
    """The blob for ``BPF_BTF_LOAD``; ids and strings are those of ``data``.

    Raises:
        BtfError: it is broken.
    """
    blob = bytearray(data)
    header, types_at = struct.unpack_from("=" + HEADER_LAYOUT, data)[3:5]
    records = dict(enumerate(_records(data, header + types_at, len(btf)), 1))
    hidden = {symbol.name for symbol in image.symbols if symbol.hidden and symbol.kind == SymbolKind.FUNC}
    integer = next((type_id for type_id in records if btf.kind(type_id) is Kind.INT), VOID)
    for at, kind, items in records.values():
        name_offset, info, third = struct.unpack_from("=III", blob, at)
        name = btf.string(name_offset)
        if kind is Kind.FUNC:
            linkage = info & 0xFFFF
            if linkage == FuncLinkage.EXTERN:
                _name_parameters(blob, records, third, name_offset)
            changed = FuncLinkage.GLOBAL if linkage == FuncLinkage.EXTERN else linkage
            _put(blob, at + 4, info & ~0xFFFF | (FuncLinkage.STATIC if name in hidden else changed))
        elif kind is Kind.VAR:
            if _get(blob, at + 12) == VarLinkage.EXTERN:
                _put(blob, at + 12, VarLinkage.GLOBAL)
                _put(blob, at + 8, integer)
        elif kind is Kind.DATASEC:
            if name in _EXTERNS:
                _forget(blob, at, info, items, integer)
            else:
                _place(blob, at, items, btf, image, name)
    return bytes(blob)


def _records(data: bytes, start: int, count: int) -> Iterator[tuple[int, Kind, int]]:
    """(position, kind, number of items) of each type."""
    at = start
    for _ in range(count):
        info = _get(data, at + 4)
        kind = Kind(info >> 24 & 0x1F)
        items = info & 0xFFFF
        yield at, kind, items
        at += 4 * (TYPE_WORDS + FIXED_WORDS.get(kind, 0) + WORDS_PER_ITEM.get(kind, 0) * items)


def _name_parameters(blob: bytearray, records: dict[int, tuple[int, Kind, int]], proto: int, name: int) -> None:
    """The kernel wants a name for each parameter of a function; a declaration may have none."""
    if proto not in records or records[proto][1] is not Kind.FUNC_PROTO:
        raise BtfError("is no prototype", proto)
    at, _, items = records[proto]
    for index in range(items):
        place = at + 12 + 8 * index
        if not _get(blob, place) and _get(blob, place + 4):
            _put(blob, place, name)


def _forget(blob: bytearray, at: int, info: int, items: int, integer: int) -> None:
    """A section of externs becomes an anonymous struct of as many integers: no kernel takes it as it is."""
    struct.pack_into("=III", blob, at, 0, Kind.STRUCT << 24 | info & 0xFFFF, 4 * items)
    for index in range(items):
        struct.pack_into("=III", blob, at + 12 * (index + 1), 0, integer, 32 * index)


def _place(blob: bytearray, at: int, items: int, btf: Btf, image: ObjectImage, name: str) -> None:
    """Fill in where the variables of a section lie, in the order of their offsets."""
    section = image.section(name)
    if section is None or _get(blob, at + 8):
        return
    offsets = {symbol.name: symbol.value for symbol in image.symbols_of(section.index)}
    placed = []
    for index in range(items):
        type_id, offset, size = struct.unpack_from("=III", blob, at + 12 * (index + 1))
        variable = btf.type(type_id)
        placed.append((offsets.get(getattr(variable, "name", ""), offset), type_id, size))
    for index, (offset, type_id, size) in enumerate(sorted(placed)):
        struct.pack_into("=III", blob, at + 12 * (index + 1), type_id, offset, size)
    _put(blob, at + 8, section.size)


def _get(blob: bytes | bytearray, at: int) -> int:
    value: int = _WORD.unpack_from(blob, at)[0]
    return value


def _put(blob: bytearray, at: int, value: int) -> None:
    _WORD.pack_into(blob, at, value)

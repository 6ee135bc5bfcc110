"""The section ``.BTF.ext``: which function, source line and CO-RE relocation belongs to which instruction.

A header, then up to three parts, each a record size and blocks of (section name, count, records); offsets of
instructions are in bytes from the section's start (Documentation/bpf/btf.rst, 4.2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from pybpf.btf import BtfError, FuncInfo, LineInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybpf.btf import Btf

_MAGIC = 0xEB9F
_HEADER = 24
_HEADER_WITH_CORE = 32
_SLOT = 8


class CoreKind(IntEnum):
    """What a CO-RE relocation asks: ``enum bpf_core_relo_kind``."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12

    @property
    def of_field(self) -> bool:
        """Whether it is about a member of a struct."""
        return self <= CoreKind.FIELD_RSHIFT_U64

    @property
    def of_enum(self) -> bool:
        """Whether it is about a name of an enumeration."""
        return self in (CoreKind.ENUMVAL_EXISTS, CoreKind.ENUMVAL_VALUE)


@dataclass(frozen=True)
class CoreRelocation:
    """At ``slot``: ``kind`` of what ``path`` (``"0:2:1"``: indices of members and elements) reaches from a type."""

    slot: int
    type_id: int
    path: str
    kind: CoreKind


@dataclass(frozen=True)
class BtfExt:
    """The three parts by section name; slots count from the section's start."""

    functions: dict[str, tuple[FuncInfo, ...]] = field(default_factory=dict)
    lines: dict[str, tuple[LineInfo, ...]] = field(default_factory=dict)
    relocations: dict[str, tuple[CoreRelocation, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, btf: Btf) -> BtfExt:
        """Read the section; ``btf`` holds its strings.

        Raises:
            BtfError: it is broken.
        """
        if len(data) < _HEADER:
            raise BtfError(f"{len(data)} bytes are no .BTF.ext")
        magic, _, _, header, func_at, func_size, line_at, line_size = struct.unpack_from("=HBBIIIII", data)
        if magic != _MAGIC or header < _HEADER:
            raise BtfError(f".BTF.ext begins with {magic:#06x} and a header of {header} bytes")
        core_at = core_size = 0
        if header >= _HEADER_WITH_CORE and len(data) >= _HEADER_WITH_CORE:
            core_at, core_size = struct.unpack_from("=II", data, _HEADER)
        functions: dict[str, tuple[FuncInfo, ...]] = {}
        for name, records in _blocks(data, header + func_at, func_size, 8, btf):
            found = (FuncInfo(_slot(at), kind) for at, kind in (struct.unpack_from("=II", r) for r in records))
            functions[name] = functions.get(name, ()) + tuple(found)
        lines: dict[str, tuple[LineInfo, ...]] = {}
        for name, records in _blocks(data, header + line_at, line_size, 16, btf):
            lines[name] = lines.get(name, ()) + tuple(_line(record) for record in records)
        relocations: dict[str, tuple[CoreRelocation, ...]] = {}
        for name, records in _blocks(data, header + core_at, core_size, 16, btf):
            relocations[name] = relocations.get(name, ()) + tuple(_relocation(record, btf) for record in records)
        return cls(functions, lines, relocations)


def _line(record: bytes) -> LineInfo:
    at, file_offset, text_offset, where = struct.unpack_from("=IIII", record)
    return LineInfo(_slot(at), file_offset, text_offset, where >> 10, where & 0x3FF)


def _relocation(record: bytes, btf: Btf) -> CoreRelocation:
    at, type_id, path_offset, kind = struct.unpack_from("=IIII", record)
    if kind > CoreKind.TYPE_MATCHES:
        raise BtfError(f"CO-RE relocation of unknown kind {kind}")
    return CoreRelocation(_slot(at), type_id, btf.string(path_offset), CoreKind(kind))


def _slot(offset: int) -> int:
    if offset % _SLOT:
        raise BtfError(f".BTF.ext speaks of an instruction at byte {offset}")
    return offset // _SLOT


def _blocks(data: bytes, start: int, size: int, least: int, btf: Btf) -> Iterator[tuple[str, list[bytes]]]:
    """The blocks of a part: (section name, records of at least ``least`` bytes)."""
    if not size:
        return
    part = data[start : start + size]
    if len(part) != size or size < 4:
        raise BtfError("a part of .BTF.ext lies behind its end")
    (step,) = struct.unpack_from("=I", part)
    if step < least or step % 4:
        raise BtfError(f"records of .BTF.ext have {step} bytes, not {least} or more")
    at = 4
    while at < size:
        if at + 8 > size:
            raise BtfError("a block of .BTF.ext is cut short")
        name, count = struct.unpack_from("=II", part, at)
        at += 8
        if count > (size - at) // step:
            raise BtfError(f"a block of .BTF.ext with {count} records is cut short")
        yield btf.string(name), [part[at + i * step : at + (i + 1) * step] for i in range(count)]
        at += count * step

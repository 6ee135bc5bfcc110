"""A relocatable eBPF object as ELF: its sections, symbols and relocations, nothing of it trusted."""

from __future__ import annotations

import io
import struct
import sys
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from pybpf.elf.headers import section_header
from pybpf.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

EM_BPF = 247
_SECTIONS_MAX = 4096
_BSS_MAX = 1 << 26
_SYMBOL = 24
_RELOCATION = 16


class SymbolKind(IntEnum):
    """``st_type``."""

    NOTYPE = 0
    OBJECT = 1
    FUNC = 2
    SECTION = 3
    FILE = 4
    COMMON = 5
    TLS = 6


class RelocationKind(IntEnum):
    """``r_type``, Documentation/bpf/llvm_reloc.rst."""

    NONE = 0
    R_BPF_64_64 = 1
    """An ``ld_imm64``."""
    R_BPF_64_ABS64 = 2
    R_BPF_64_ABS32 = 3
    R_BPF_64_NODYLD32 = 4
    R_BPF_64_32 = 10
    """A call."""


@dataclass(frozen=True)
class Section:
    """One section; ``size`` is that in memory, which for ``.bss`` has no bytes in the file."""

    index: int
    name: str
    kind: str
    data: bytes
    size: int
    link: int
    info: int
    executable: bool
    writable: bool
    allocated: bool

    def __repr__(self) -> str:
        return f"<Section {self.name}, {self.size} bytes>"


@dataclass(frozen=True)
class ObjectSymbol:
    """One symbol; ``section`` is 0 for what the object only refers to; ``value`` in bytes from the section's start."""

    name: str
    kind: int
    section: int
    value: int
    size: int
    local: bool = False
    weak: bool = False
    hidden: bool = False


@dataclass(frozen=True)
class Relocation:
    """At ``offset`` bytes of a section, the address of ``symbol`` is wanted."""

    offset: int
    kind: int
    symbol: ObjectSymbol


@dataclass(frozen=True)
class ObjectImage:
    """The tables of an object file; ``relocations`` by the index of the section they apply to."""

    path: str
    sections: tuple[Section, ...]
    symbols: tuple[ObjectSymbol, ...]
    relocations: dict[int, tuple[Relocation, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, path: str = "object") -> ObjectImage:
        """The tables of an object given as bytes.

        Raises:
            ImageError: it is no relocatable eBPF object of this host's byte order, or its tables are broken.
        """
        try:
            return _parse(data, path)
        except (ELFError, ConstructError, struct.error, ValueError, KeyError, IndexError, OverflowError) as error:
            raise ImageError(path, f"broken ELF: {str(error) or type(error).__name__}") from error
        except (AttributeError, TypeError, AssertionError, MemoryError) as error:
            # what pyelftools does when a header's numbers make no sense
            raise ImageError(path, f"broken ELF: {type(error).__name__}") from error

    def section(self, name: str) -> Section | None:
        """The first section of this name."""
        return next((section for section in self.sections if section.name == name), None)

    def sections_where(self, wanted: Callable[[Section], bool]) -> tuple[Section, ...]:
        """The sections of which ``wanted`` says so, in the file's order."""
        return tuple(section for section in self.sections if wanted(section))

    def symbols_of(self, index: int) -> tuple[ObjectSymbol, ...]:
        """The symbols that a section defines, by their place in it; those of the whole section are not among them."""
        found = [s for s in self.symbols if s.section == index and s.kind != SymbolKind.SECTION]
        return tuple(sorted(found, key=lambda symbol: symbol.value))


def _parse(data: bytes, path: str) -> ObjectImage:
    if data[:4] != b"\x7fELF":
        raise ImageError(path, "not an ELF file")
    elf = ELFFile(io.BytesIO(data))
    if elf.elfclass != 64 or elf.little_endian != (sys.byteorder == "little"):
        raise ImageError(path, f"compiled for another byte order or word size; clang -target bpf makes {sys.byteorder}")
    if elf["e_machine"] not in ("EM_BPF", EM_BPF) or elf["e_type"] != "ET_REL":
        raise ImageError(path, f"not a relocatable eBPF object, but {elf['e_machine']} {elf['e_type']}")
    count = elf["e_shnum"]
    if not 0 < count <= _SECTIONS_MAX or elf["e_shentsize"] != 64:
        raise ImageError(path, f"{count} sections with headers of {elf['e_shentsize']} bytes")
    headers = [section_header(elf, index) for index in range(count)]
    names = _bytes_of(data, headers[elf["e_shstrndx"]])
    sections = tuple(_section(index, header, names, data) for index, header in enumerate(headers))
    table = next((section for section in sections if section.kind == "SHT_SYMTAB"), None)
    symbols = _symbols(table, sections) if table is not None else ()
    relocations: dict[int, tuple[Relocation, ...]] = {}
    for section in sections:
        if section.kind == "SHT_REL":
            target = sections[section.info].index
            relocations[target] = relocations.get(target, ()) + _relocations(section, symbols)
    return ObjectImage(path, sections, symbols, relocations)


def _section(index: int, header: Any, names: bytes, data: bytes) -> Section:
    flags, kind = header["sh_flags"], header["sh_type"]
    size = header["sh_size"]
    if kind == "SHT_NOBITS" and size > _BSS_MAX:
        raise ValueError(f"section {index} has {size} bytes of zeros")
    return Section(
        index,
        _text(names, header["sh_name"]),
        str(kind),
        _bytes_of(data, header),
        size,
        header["sh_link"],
        header["sh_info"],
        executable=bool(flags & 4),
        writable=bool(flags & 1),
        allocated=bool(flags & 2),
    )


def _bytes_of(data: bytes, header: Any) -> bytes:
    if header["sh_type"] in ("SHT_NOBITS", "SHT_NULL"):
        return b""
    start, size = header["sh_offset"], header["sh_size"]
    if start + size > len(data):
        raise ValueError(f"a section of {size} bytes at {start} lies behind the end of the file ({len(data)} bytes)")
    return data[start : start + size]


def _text(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    if offset > len(strings) or end < 0:
        raise ValueError(f"name at {offset} is outside of the string table")
    return strings[offset:end].decode("utf-8", "replace")


def _symbols(table: Section, sections: tuple[Section, ...]) -> tuple[ObjectSymbol, ...]:
    if len(table.data) % _SYMBOL:
        raise ValueError("the symbol table is cut short")
    strings = sections[table.link].data
    symbols = []
    for name, info, other, index, value, size in struct.iter_unpack("=IBBHQQ", table.data):
        kind, bind = info & 0xF, info >> 4
        text = _text(strings, name) if name else ""
        # 0xfff1 and above are no sections: absolute values, names of files
        section = index if index < len(sections) else -1
        if kind == SymbolKind.SECTION and section > 0:
            text = sections[section].name
        hidden = other & 3 in (1, 2)
        symbols.append(ObjectSymbol(text, kind, section, value, size, bind == 0, bind == 2, hidden))
    return tuple(symbols)


def _relocations(section: Section, symbols: tuple[ObjectSymbol, ...]) -> tuple[Relocation, ...]:
    if len(section.data) % _RELOCATION:
        raise ValueError(f"{section.name} is cut short")
    return tuple(
        Relocation(offset, info & 0xFFFFFFFF, symbols[info >> 32])
        for offset, info in struct.iter_unpack("=QQ", section.data)
    )

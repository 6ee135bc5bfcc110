"""Symbols of an ELF image: by hash section first, by a scan of .symtab last."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from elftools.common.utils import parse_cstring_from_stream, struct_parse
from elftools.elf.elffile import ELFFile
from elftools.elf.hash import ELFHashTable, GNUHashTable
from elftools.elf.sections import Symbol as ElfToolsSymbol

from pybpf.elf.headers import find_section, read_range, section_header, segment_headers


class SymbolKind(Enum):
    """What a symbol names; the values are the ELF type numbers."""

    NOTYPE = 0
    OBJECT = 1
    FUNCTION = 2
    SECTION = 3
    FILE = 4
    COMMON = 5
    TLS = 6
    INDIRECT_FUNCTION = 10
    OTHER = -1


_KINDS = {
    "STT_NOTYPE": SymbolKind.NOTYPE,
    "STT_OBJECT": SymbolKind.OBJECT,
    "STT_FUNC": SymbolKind.FUNCTION,
    "STT_SECTION": SymbolKind.SECTION,
    "STT_FILE": SymbolKind.FILE,
    "STT_COMMON": SymbolKind.COMMON,
    "STT_TLS": SymbolKind.TLS,
    "STT_LOOS": SymbolKind.INDIRECT_FUNCTION,
    "STT_GNU_IFUNC": SymbolKind.INDIRECT_FUNCTION,
}
_NUMBERS = {kind.value: kind for kind in SymbolKind}
_LOCAL = 0


@dataclass(frozen=True)
class Symbol:
    """A defined symbol. ``address`` is the image's own, before relocation; ``size`` in bytes, 0 when unknown.

    ``exported``: it stands in the dynamic symbol table. ``local``: static to one source file.
    """

    name: str
    address: int
    size: int
    kind: SymbolKind
    exported: bool
    local: bool = False


class SymbolTables:
    """The symbol tables of one image, opened at the first question."""

    def __init__(self, elf: ELFFile) -> None:
        self._elf = elf
        self._symtab = find_section(elf, "SHT_SYMTAB")
        self._hash: _HashLookup | None = None

    @property
    def has_symtab(self) -> bool:
        """Whether .symtab was kept."""
        return self._symtab is not None

    def find(self, name: str) -> Symbol | None:
        """The dynamic symbol ``name``, else that of .symtab: a global before a local; None if locals are ambiguous."""
        if self._hash is None:
            self._hash = _HashLookup(self._elf)
        exported = self._hash.find(name)
        if exported is not None:
            return exported
        candidates = self.in_symtab(name)
        visible = tuple(symbol for symbol in candidates if not symbol.local)
        chosen = visible or candidates
        return chosen[0] if visible or len({symbol.address for symbol in chosen}) == 1 else None

    def in_symtab(self, name: str) -> tuple[Symbol, ...]:
        """Every definition of ``name`` in .symtab."""
        return tuple(_scan(self._elf, self._symtab, name)) if self._symtab is not None else ()


class _DynamicTable:
    """The symbols of DT_SYMTAB by index."""

    def __init__(self, elf: ELFFile, symbols: int, strings: int) -> None:
        self._elf = elf
        self._symbols = symbols
        self._strings = strings
        self._size = elf.structs.Elf_Sym.sizeof()

    def get_symbol(self, index: int) -> ElfToolsSymbol:
        """The symbol at ``index``."""
        offset = self._symbols + index * self._size
        entry = struct_parse(self._elf.structs.Elf_Sym, self._elf.stream, stream_pos=offset)
        name = parse_cstring_from_stream(self._elf.stream, self._strings + entry["st_name"])
        return ElfToolsSymbol(entry, (name or b"").decode("utf-8", "surrogateescape"))


class _HashLookup:
    """The dynamic symbol table through DT_GNU_HASH, DT_HASH, or, without both, a scan of .dynsym.

    It starts from PT_DYNAMIC and not from the section headers: those may be stripped, the dynamic table never is.
    """

    def __init__(self, elf: ELFFile) -> None:
        self._elf = elf
        self._gnu: Any = None
        self._sysv: Any = None
        tags = _dynamic_tags(elf)
        if "DT_SYMTAB" in tags and "DT_STRTAB" in tags:
            self._table = _DynamicTable(elf, tags["DT_SYMTAB"], tags["DT_STRTAB"])
            if "DT_GNU_HASH" in tags:
                self._gnu = struct_parse(elf.structs.Gnu_Hash, elf.stream, stream_pos=tags["DT_GNU_HASH"])
                filter_size = self._gnu["bloom_size"] * (elf.elfclass // 8)
                self._gnu_chain = tags["DT_GNU_HASH"] + 16 + filter_size + 4 * self._gnu["nbuckets"]
            elif "DT_HASH" in tags:
                self._sysv = struct_parse(elf.structs.Elf_Hash, elf.stream, stream_pos=tags["DT_HASH"])
        hashed = self._gnu is not None or self._sysv is not None
        self._dynsym = None if hashed else find_section(elf, "SHT_DYNSYM")

    def find(self, name: str) -> Symbol | None:
        if self._dynsym is not None:
            return next(_scan(self._elf, self._dynsym, name, exported=True), None)
        entry = self._find_gnu(name) if self._gnu is not None else self._find_sysv(name)
        if entry is None or entry["st_shndx"] == "SHN_UNDEF":
            return None
        kind = _KINDS.get(entry["st_info"]["type"], SymbolKind.OTHER)
        return Symbol(name, entry["st_value"], entry["st_size"], kind, exported=True)

    def _find_gnu(self, name: str) -> ElfToolsSymbol | None:
        """One chain of DT_GNU_HASH.

        Not by pyelftools' get_symbol: it loses its place in the chain at a name whose hash differs in the lowest bit.
        """
        buckets, first = self._gnu["buckets"], self._gnu["symoffset"]
        wanted = GNUHashTable.gnu_hash(name)
        index = buckets[wanted % len(buckets)] if buckets else 0
        if index < max(first, 1):
            return None
        word = struct.Struct("<I" if self._elf.little_endian else ">I")
        chain = self._gnu_chain + (index - first) * word.size
        while True:
            # At the end of the file this is struct.error: the chain is bounded whatever it holds.
            (value,) = word.unpack(read_range(self._elf, chain, word.size))
            if value | 1 == wanted | 1:
                symbol = self._table.get_symbol(index)
                if symbol.name == name:
                    return symbol
            if value & 1:
                return None
            index, chain = index + 1, chain + word.size

    def _find_sysv(self, name: str) -> ElfToolsSymbol | None:
        """One chain of DT_HASH. Bounded: in a damaged file a chain may run in a circle."""
        if self._sysv is None or not self._sysv["nbuckets"]:
            return None
        chains = self._sysv["chains"]
        index = self._sysv["buckets"][ELFHashTable.elf_hash(name) % self._sysv["nbuckets"]]
        for _ in range(len(chains)):
            if index == 0:
                return None
            symbol = self._table.get_symbol(index)
            if symbol.name == name and symbol["st_shndx"] != "SHN_UNDEF":
                return symbol
            index = chains[index]
        return None


def _dynamic_tags(elf: ELFFile) -> dict[str, int]:
    """The file offset of each table that PT_DYNAMIC points to."""
    wanted = {"DT_SYMTAB", "DT_STRTAB", "DT_GNU_HASH", "DT_HASH"}
    found: dict[str, int] = {}
    for header in segment_headers(elf):
        if header["p_type"] != "PT_DYNAMIC":
            continue
        size = elf.structs.Elf_Dyn.sizeof()
        for position in range(header["p_offset"], header["p_offset"] + header["p_filesz"], size):
            tag = struct_parse(elf.structs.Elf_Dyn, elf.stream, stream_pos=position)
            if tag["d_tag"] == "DT_NULL":
                break
            if tag["d_tag"] in wanted:
                offset = next(elf.address_offsets(tag["d_ptr"]), None)
                if offset is not None:
                    found[tag["d_tag"]] = offset
    return found


def _scan(elf: ELFFile, table: Any, name: str, *, exported: bool = False) -> Iterator[Symbol]:
    """The defined symbols called ``name`` of a symbol table section.

    The name is searched in the string table as bytes, and the table then only for its offsets: a hundred times faster
    than naming every symbol.
    """
    strings = _contents(elf, section_header(elf, table["sh_link"]))
    offsets = set(_string_offsets(strings, name.encode("utf-8")))
    if not offsets:
        return
    order = "<" if elf.little_endian else ">"
    # Elf64_Sym: name, info, other, shndx, value, size. Elf32_Sym: name, value, size, info, other, shndx.
    entry = struct.Struct(order + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH"))
    data = _contents(elf, table)
    for fields in entry.iter_unpack(data[: len(data) // entry.size * entry.size]):
        if fields[0] not in offsets:
            continue
        if elf.elfclass == 64:
            _, info, _, section, value, size = fields
        else:
            _, value, size, info, _, section = fields
        if section != 0:
            kind = _NUMBERS.get(info & 15, SymbolKind.OTHER)
            yield Symbol(name, value, size, kind, exported, local=info >> 4 == _LOCAL)


def _contents(elf: ELFFile, header: Any) -> bytes:
    return read_range(elf, header["sh_offset"], header["sh_size"])


def _string_offsets(strings: bytes, name: bytes) -> Iterator[int]:
    """Offsets at which ``name`` ends a string: a linker may let it share the tail of a longer one."""
    needle = name + b"\0"
    position = strings.find(needle)
    while position >= 0:
        yield position
        position = strings.find(needle, position + 1)

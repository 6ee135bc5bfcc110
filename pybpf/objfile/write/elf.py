"""A relocatable ELF file of 64 bits, put together of sections, symbols and relocations."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

from pybpf.objfile.image import EM_BPF, RelocationKind, SymbolKind

_EHDR, _SHDR = 64, 64
_ET_REL = 1
_PROGBITS, _SYMTAB, _STRTAB, _NOBITS, _REL = 1, 2, 3, 8, 9
_WRITE, _ALLOC, _EXEC, _INFO_LINK = 1, 2, 4, 0x40


class _Wanted(NamedTuple):
    """A relocation: the address of a symbol, wanted at a byte of a section."""

    offset: int
    kind: RelocationKind
    symbol: str


@dataclass
class OutputSection:
    """A section that grows; ``flags`` as in ``sh_flags``."""

    name: str
    flags: int = 0
    align: int = 8
    data: bytearray = field(default_factory=bytearray)
    zeros: int = 0
    relocations: list[_Wanted] = field(default_factory=list)

    def append(self, data: bytes) -> int:
        """Add bytes; where they begin."""
        at = len(self.data)
        self.data += data
        return at

    def relocate(self, offset: int, kind: RelocationKind, symbol: str) -> None:
        """Ask the loader to put the address of ``symbol`` (a key of :meth:`ElfWriter.symbol`) at ``offset``."""
        self.relocations.append(_Wanted(offset, kind, symbol))


@dataclass(frozen=True)
class _Symbol:
    name: str
    kind: SymbolKind
    section: str
    value: int
    size: int
    local: bool


class ElfWriter:
    """Collects sections and symbols; :meth:`to_bytes` lays them out."""

    def __init__(self) -> None:
        self._sections: dict[str, OutputSection] = {}
        self._symbols: dict[str, _Symbol] = {}

    def section(self, name: str, flags: int = 0, align: int = 8) -> OutputSection:
        """The section of this name, made when it is not there yet."""
        if name not in self._sections:
            self._sections[name] = OutputSection(name, flags, align)
        return self._sections[name]

    def code(self, name: str) -> OutputSection:
        """A section of instructions."""
        return self.section(name, _ALLOC | _EXEC)

    def data(self, name: str, align: int = 8) -> OutputSection:
        """A section of data."""
        return self.section(name, _ALLOC | _WRITE, align)

    def symbol(
        self,
        name: str,
        kind: SymbolKind,
        section: str = "",
        value: int = 0,
        size: int = 0,
        *,
        local: bool = False,
        key: str = "",
    ) -> None:
        """Define a symbol; without a section it is one that the loader finds. ``key`` names it in relocations."""
        self._symbols.setdefault(key or name, _Symbol(name, kind, section, value, size, local))

    def to_bytes(self) -> bytes:
        """The file."""
        names, strings = _Strings(), _Strings()
        numbers = {name: index for index, name in enumerate(self._sections, 1)}
        ordered = sorted(self._symbols, key=lambda key: not self._symbols[key].local)
        places = {key: index for index, key in enumerate(ordered, 1)}
        file = bytearray(_EHDR)
        headers = [bytes(_SHDR)]
        table_number = len(self._sections) + 1
        for section in self._sections.values():
            at = _aligned(file, section.align)
            file += section.data
            kind, size = (_NOBITS, section.zeros) if section.zeros else (_PROGBITS, len(section.data))
            headers.append(_header(names.add(section.name), kind, section.flags, at, size, 0, 0, section.align))
        symbols = bytearray(24)
        for key in ordered:
            each = self._symbols[key]
            info = (0 if each.local else 1) << 4 | each.kind
            index = numbers[each.section] if each.section else 0
            symbols += struct.pack("=IBBHQQ", strings.add(each.name), info, 0, index, each.value, each.size)
        at = _aligned(file, 8)
        file += symbols
        first_global = 1 + sum(self._symbols[key].local for key in ordered)
        headers.append(
            _header(names.add(".symtab"), _SYMTAB, 0, at, len(symbols), table_number + 1, first_global, 8, 24)
        )
        at = len(file)
        file += strings.data
        headers.append(_header(names.add(".strtab"), _STRTAB, 0, at, len(strings.data), 0, 0, 1))
        for section in self._sections.values():
            if section.relocations:
                table = b"".join(
                    struct.pack("=QQ", r.offset, places[r.symbol] << 32 | r.kind) for r in section.relocations
                )
                at = _aligned(file, 8)
                file += table
                name = names.add(f".rel{section.name}")
                headers.append(
                    _header(name, _REL, _INFO_LINK, at, len(table), table_number, numbers[section.name], 8, 16)
                )
        name = names.add(".shstrtab")
        at = len(file)
        file += names.data
        headers.append(_header(name, _STRTAB, 0, at, len(names.data), 0, 0, 1))
        at = _aligned(file, 8)
        file += b"".join(headers)
        order = 1 if sys.byteorder == "little" else 2
        identity = b"\x7fELF" + bytes((2, order, 1)) + bytes(9)
        count = len(headers)
        file[:_EHDR] = identity + struct.pack(
            "=HHIQQQIHHHHHH", _ET_REL, EM_BPF, 1, 0, 0, at, 0, _EHDR, 0, 0, _SHDR, count, count - 1
        )
        return bytes(file)


class _Strings:
    """A string table."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._places = {"": 0}

    def add(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self._places[text]


def _aligned(file: bytearray, align: int) -> int:
    file += bytes(-len(file) % align)
    return len(file)


def _header(
    name: int, kind: int, flags: int, offset: int, size: int, link: int, info: int, align: int, entry: int = 0
) -> bytes:
    return struct.pack("=IIQQQQIIQQ", name, kind, flags, 0, offset, size, link, info, align, entry)

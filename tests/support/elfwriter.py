"""Synthetic ELF images: shared libraries written byte by byte; they need no compiler, and damage as one likes.

Layout: file offset 0 holds the headers, notes and dynamic tables (address = offset); the code lies at file offset
CODE_OFFSET and address CODE_ADDRESS, so that a confusion of the two shows.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

CODE_OFFSET = 0x3000
CODE_ADDRESS = 0x5000
MACHINES = {"x86-64": 62, "aarch64": 183, "i386": 3}

NOTYPE, OBJECT, FUNC, IFUNC = 0, 1, 2, 10
LOCAL, GLOBAL, WEAK = 0, 1, 2


@dataclass(frozen=True)
class Definition:
    """A symbol and its code. ``exported``: in .dynsym; ``size`` None: its code's; ``defined`` False: SHN_UNDEF."""

    name: str
    code: bytes = b"\xc3"
    kind: int = FUNC
    bind: int = GLOBAL
    exported: bool = True
    size: int | None = None
    defined: bool = True


@dataclass(frozen=True)
class _Formats:
    """The structures of one ELF class."""

    header: str
    program: str
    section: str
    dynamic: str
    word: int

    def symbol(self, order: str, name: int, info: int, section: int, value: int, size: int) -> bytes:
        if self.word == 8:
            return struct.pack(order + "IBBHQQ", name, info, 0, section, value, size)
        return struct.pack(order + "IIIBBH", name, value, size, info, 0, section)

    def segment(self, order: str, kind: int, flags: int, offset: int, address: int, size: int) -> bytes:
        if self.word == 8:
            return struct.pack(order + self.program, kind, flags, offset, address, address, size, size, 0x1000)
        return struct.pack(order + self.program, kind, offset, address, address, size, size, flags, 0x1000)


_FORMATS = {
    64: _Formats("HHIQQQIHHHHHH", "IIQQQQQQ", "IIQQQQIIQQ", "QQ", 8),
    32: _Formats("HHIIIIIHHHHHH", "IIIIIIII", "IIIIIIIIII", "II", 4),
}


def gnu_hash(name: str) -> int:
    """The hash of DT_GNU_HASH (Bernstein's, times 33)."""
    value = 5381
    for byte in name.encode():
        value = value * 33 + byte & 0xFFFFFFFF
    return value


def sysv_hash(name: str) -> int:
    """The hash of DT_HASH (System V gABI, chapter 5)."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte & 0xFFFFFFFF
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high
    return value


class _Strings:
    """A string table."""

    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        offset = len(self.data)
        self.data += text.encode() + b"\0"
        return offset


def write_elf(
    definitions: Sequence[Definition],
    *,
    hashes: Sequence[str] = ("gnu",),
    sections: bool = True,
    build_id: bytes = b"",
    bits: int = 64,
    big_endian: bool = False,
    machine: str = "x86-64",
    elf_type: int = 3,
    loops: bool = False,
) -> bytes:
    """The bytes of an image. ``hashes``: of "gnu" and "sysv". ``loops``: the DT_HASH chains run in a circle."""
    formats, order = _FORMATS[bits], ">" if big_endian else "<"
    addresses, code = _place(definitions)
    exported = [d for d in definitions if d.exported]
    buckets = max(1, len(exported) // 2)
    # DT_GNU_HASH wants undefined symbols first and the others sorted by bucket.
    exported.sort(key=lambda d: (d.defined, gnu_hash(d.name) % buckets))
    strings = _Strings()
    table = _symbols(exported, addresses, strings, formats, order)
    note = b""
    if build_id:
        note = struct.pack(order + "III", 4, len(build_id), 3) + b"GNU\0" + build_id
    header_size = struct.calcsize(order + formats.header) + 16
    program_size = struct.calcsize(order + formats.program)
    places: dict[str, tuple[int, bytes]] = {}
    position = header_size + 4 * program_size
    blocks = [("note", note), ("dynsym", table), ("dynstr", strings.data)]
    if "gnu" in hashes:
        blocks.append(("gnu", _gnu_table(exported, buckets, formats.word, order)))
    if "sysv" in hashes:
        blocks.append(("sysv", _sysv_table(exported, buckets, order, loops)))
    for name, data in blocks:
        position = (position + 7) // 8 * 8
        places[name] = (position, data)
        position += len(data)
    position = (position + 7) // 8 * 8
    tags = {"dynstr": 5, "dynsym": 6, "gnu": 0x6FFFFEF5, "sysv": 4}
    entries = [(tags[name], offset) for name, (offset, _) in places.items() if name in tags] + [(0, 0)]
    places["dynamic"] = (position, b"".join(struct.pack(order + formats.dynamic, *entry) for entry in entries))
    end = position + len(places["dynamic"][1])
    assert end <= CODE_OFFSET, "too many symbols for the room before the code"
    note_at, dynamic_at = places["note"][0], places["dynamic"][0]
    programs = (
        formats.segment(order, 1, 6, 0, 0, end)  # writable: glibc before 2.35 relocates the dynamic table in place
        + formats.segment(order, 1, 5, CODE_OFFSET, CODE_ADDRESS, len(code))
        + formats.segment(order, 2, 6, dynamic_at, dynamic_at, len(places["dynamic"][1]))
        + formats.segment(order, 4, 4, note_at, note_at, len(note))
    )
    file = bytearray(CODE_OFFSET) + code
    for offset, data in places.values():
        file[offset : offset + len(data)] = data
    section_table, count = b"", 0
    if sections:
        section_table, count = _sections(file, places, definitions, addresses, formats, order)
    identity = b"\x7fELF" + bytes((2 if bits == 64 else 1, 2 if big_endian else 1, 1)) + bytes(9)
    section_size = struct.calcsize(order + formats.section)
    section_at = len(file) if count else 0
    fields = (elf_type, MACHINES[machine], 1, 0, header_size, section_at, 0)
    sizes = (header_size, program_size, 4, section_size, count, 0)
    header = identity + struct.pack(order + formats.header, *fields, *sizes)
    file[: len(header)] = header
    file[header_size : header_size + len(programs)] = programs
    return bytes(file) + section_table


def _place(definitions: Sequence[Definition]) -> tuple[dict[int, int], bytes]:
    """The address of each definition by its id, and the code, each function aligned to 16."""
    code = b""
    addresses = {}
    for definition in definitions:
        code += b"\xcc" * (-len(code) % 16)
        addresses[id(definition)] = CODE_ADDRESS + len(code)
        code += definition.code
    return addresses, code + b"\xcc"


def _symbols(
    chosen: Sequence[Definition], addresses: dict[int, int], strings: _Strings, formats: _Formats, order: str
) -> bytes:
    table = formats.symbol(order, 0, 0, 0, 0, 0)
    for d in chosen:
        size = len(d.code) if d.size is None else d.size
        value = addresses[id(d)] if d.defined else 0
        table += formats.symbol(order, strings.add(d.name), d.bind << 4 | d.kind, 1 if d.defined else 0, value, size)
    return table


def _gnu_table(exported: Sequence[Definition], buckets: int, word: int, order: str) -> bytes:
    first = 1 + sum(not d.defined for d in exported)
    hashed = [gnu_hash(d.name) for d in exported if d.defined]
    bloom, heads, chain = 0, [0] * buckets, []
    for index, value in enumerate(hashed):
        bloom |= 1 << value % (8 * word) | 1 << (value >> 6) % (8 * word)
        if not heads[value % buckets]:
            heads[value % buckets] = first + index
        last = index + 1 == len(hashed) or hashed[index + 1] % buckets != value % buckets
        chain.append(value & ~1 | last)
    header = struct.pack(order + "IIII", buckets, first, 1, 6) + struct.pack(order + ("Q" if word == 8 else "I"), bloom)
    return header + struct.pack(f"{order}{buckets}I{len(chain)}I", *heads, *chain)


def _sysv_table(exported: Sequence[Definition], buckets: int, order: str, loops: bool) -> bytes:
    heads, chain = [0] * buckets, [0] * (len(exported) + 1)
    for index, d in enumerate(exported, 1):
        bucket = sysv_hash(d.name) % buckets
        chain[index], heads[bucket] = heads[bucket], index
    if loops:
        chain = [index or 1 for index in range(len(chain))]
        heads = [1] * buckets
    return struct.pack(f"{order}II{len(heads)}I{len(chain)}I", len(heads), len(chain), *heads, *chain)


def _sections(
    file: bytearray,
    places: dict[str, tuple[int, bytes]],
    definitions: Sequence[Definition],
    addresses: dict[int, int],
    formats: _Formats,
    order: str,
) -> tuple[bytes, int]:
    """Append .symtab and .strtab to the file; the section header table and its length."""
    strings = _Strings()
    table = _symbols([d for d in definitions if d.defined], addresses, strings, formats, order)
    table_at = len(file)
    file += table
    strings_at = len(file)
    file += strings.data
    symbol_size = len(formats.symbol(order, 0, 0, 0, 0, 0))

    def header(kind: int, offset: int, size: int, link: int = 0, entry: int = 0) -> bytes:
        return struct.pack(order + formats.section, 0, kind, 0, 0, offset, size, link, 0, 8, entry)

    dynsym, dynstr = places["dynsym"], places["dynstr"]
    headers = [
        header(0, 0, 0),
        header(1, CODE_OFFSET, table_at - CODE_OFFSET),
        header(11, dynsym[0], len(dynsym[1]), 3, symbol_size),
        header(3, dynstr[0], len(dynstr[1])),
        header(2, table_at, len(table), 5, symbol_size),
        header(3, strings_at, len(strings.data)),
    ]
    return b"".join(headers), len(headers)

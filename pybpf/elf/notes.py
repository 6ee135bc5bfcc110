"""Notes of an ELF image: the GNU build-id."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from elftools.elf.elffile import ELFFile

from pybpf.elf.headers import find_section, read_range, segment_headers

NT_GNU_BUILD_ID = 3
"""The note type of the build-id, a hash of the contents that the linker writes (binutils, elf/common.h)."""

_MAX_NOTES = 1 << 20


def find_build_id(elf: ELFFile) -> str | None:
    """The build-id in hex, None without one; from the PT_NOTE segments, which ``strip`` keeps, or the first section."""
    for data in _note_areas(elf):
        for owner, kind, description in iter_notes(data, little_endian=elf.little_endian):
            if owner == b"GNU" and kind == NT_GNU_BUILD_ID and description:
                return description.hex()
    return None


def _note_areas(elf: ELFFile) -> Iterator[bytes]:
    for segment in segment_headers(elf):
        if segment["p_type"] == "PT_NOTE":
            yield read_range(elf, segment["p_offset"], min(segment["p_filesz"], _MAX_NOTES))
    section = find_section(elf, "SHT_NOTE")
    if section is not None:
        yield read_range(elf, section["sh_offset"], min(section["sh_size"], _MAX_NOTES))


def iter_notes(data: bytes, *, little_endian: bool = True) -> Iterator[tuple[bytes, int, bytes]]:
    """(owner, type, description) of each note in a note area of 4-byte alignment; ends at the first malformed one.

    Areas of 8-byte alignment (.note.gnu.property alone) read the same as long as their descriptions are multiples of 8.
    Source: System V gABI, chapter 5, "Note Section".
    """
    header = struct.Struct("<III" if little_endian else ">III")
    position = 0
    while position + header.size <= len(data):
        name_size, size, kind = header.unpack_from(data, position)
        position += header.size
        description = position + (name_size + 3 & ~3)
        if description + size > len(data):
            return
        yield data[position : position + name_size].rstrip(b"\0"), kind, data[description : description + size]
        position = description + (size + 3 & ~3)

"""The header tables of an ELF image, one entry at a time.

pyelftools' own iterators make whole sections, and so parse every hash table they pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elftools.common.utils import struct_parse
from elftools.elf.elffile import ELFFile


def segment_headers(elf: ELFFile) -> Iterator[Any]:
    """The program headers, as pyelftools' containers of ``p_type``, ``p_offset`` ..."""
    for index in range(elf.num_segments()):
        position = elf.header["e_phoff"] + index * elf.header["e_phentsize"]
        yield struct_parse(elf.structs.Elf_Phdr, elf.stream, stream_pos=position)


def section_header(elf: ELFFile, index: int) -> Any:
    """One section header, a container of ``sh_type``, ``sh_offset`` ..."""
    position = elf.header["e_shoff"] + index * elf.header["e_shentsize"]
    return struct_parse(elf.structs.Elf_Shdr, elf.stream, stream_pos=position)


def find_section(elf: ELFFile, kind: str) -> Any:
    """The header of the first section of a kind (``SHT_SYMTAB``), None without one."""
    for index in range(elf.num_sections()):
        header = section_header(elf, index)
        if header["sh_type"] == kind:
            return header
    return None


def read_range(elf: ELFFile, offset: int, size: int) -> bytes:
    """Bytes of the file; a size beyond its end, as a damaged header may give, is cut."""
    elf.stream.seek(offset)
    data: bytes = elf.stream.read(min(size, elf.stream_len))
    return data

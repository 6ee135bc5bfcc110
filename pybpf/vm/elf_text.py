"""The first program of a BPF object file.

Calls between sections (R_BPF_64_32) are resolved by putting the sections one after the other. Maps and other data are
not here: an object that refers to any is refused. ``Documentation/bpf/llvm_reloc.rst`` of Linux.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from pybpf.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

EM_BPF = 247
SHF_EXECINSTR = 4
R_BPF_64_32 = 10
SLOT = 8

# What pyelftools raises on bytes that are no ELF file, besides its own error.
_GARBAGE = (ELFError, struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError, UnicodeError)


def text_of(image: bytes) -> bytes:
    """The instructions of ``image``, those of the first program first.

    Raises:
        ImageError: no BPF object file, no program in it, or one that needs maps or data.
    """
    try:
        return _text_of(image)
    except _GARBAGE as error:
        raise ImageError("BPF object", f"this is no ELF file: {error}") from error


def _text_of(image: bytes) -> bytes:
    elf = ELFFile(io.BytesIO(image))
    if elf["e_machine"] not in ("EM_BPF", EM_BPF):
        raise ImageError("BPF object", f"the machine is {elf['e_machine']}, not EM_BPF")
    sections = {
        number: section
        for number, section in enumerate(elf.iter_sections())
        if section["sh_flags"] & SHF_EXECINSTR and section["sh_size"]
    }
    if not sections:
        raise ImageError("BPF object", "there is no program in it")
    # A program of a hook has a section of its own; .text has the functions that programs share.
    order = sorted(sections, key=lambda number: (sections[number].name == ".text", number))
    code = bytearray()
    starts: dict[int, int] = {}
    for number in order:
        starts[number] = len(code)
        code += sections[number].data()
    for number, offset, kind, symbol in _relocations(elf, sections):
        if kind != R_BPF_64_32 or symbol["st_shndx"] not in starts:
            raise ImageError("BPF object", f"it refers to {symbol.name or 'data'}, which is no function")
        place = starts[number] + offset
        (addend,) = struct.unpack_from("<i", code, place + 4)
        # For a function's own symbol the immediate is -1, for a section's it is the distance in it less one.
        inside = symbol["st_value"] + (addend + 1) * SLOT
        target = starts[symbol["st_shndx"]] + inside
        struct.pack_into("<i", code, place + 4, (target - place) // SLOT - 1)
    return bytes(code)


def _relocations(elf: Any, sections: dict[int, Any]) -> Iterator[tuple[int, int, int, Any]]:
    for section in elf.iter_sections():
        if section["sh_type"] in ("SHT_REL", "SHT_RELA") and section["sh_info"] in sections:
            symbols = elf.get_section(section["sh_link"])
            for relocation in section.iter_relocations():
                symbol = symbols.get_symbol(relocation["r_info_sym"])
                yield section["sh_info"], relocation["r_offset"], relocation["r_info_type"], symbol

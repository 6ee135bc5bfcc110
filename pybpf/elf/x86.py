"""Lengths and fields of x86-64 instructions: enough of a decoder to place a probe.

A decoder for 64-bit mode that finds where each instruction ends and splits it into its fields. It reads legacy, REX,
VEX, EVEX and XOP encodings; what it does not know (APX's REX2 and extended EVEX, undefined opcodes, a cut-off tail) is
None, never a guess. What an instruction does is told by :mod:`pybpf.elf.x86_effects`.

Source: Intel SDM volume 2, chapter 2 (instruction format) and appendix A (opcode maps); AMD APM volume 3 for XOP.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class OpcodeMap(Enum):
    """The table an opcode belongs to."""

    ONE_BYTE = "one byte"
    TWO_BYTE = "0f"
    MAP_0F38 = "0f 38"
    MAP_0F3A = "0f 3a"
    VECTOR = "VEX, EVEX or XOP"


class X86Instruction(NamedTuple):
    """One decoded instruction.

    ``code`` is the whole encoding. ``prefixes`` are the legacy prefixes in order, ``rex`` the REX byte or 0. ``modrm``
    and ``sib`` are None when absent. ``displacement`` and ``immediate`` are sign-extended; of two immediates (ENTER)
    the first.
    """

    code: bytes
    prefixes: bytes
    rex: int
    opcode_map: OpcodeMap
    opcode: int
    modrm: int | None
    sib: int | None
    displacement: int
    immediate: int

    @property
    def length(self) -> int:
        """Bytes of the encoding."""
        return len(self.code)

    @property
    def mod(self) -> int:
        """The addressing mode, 3 for a register operand; -1 without a ModRM byte."""
        return -1 if self.modrm is None else self.modrm >> 6

    @property
    def extension(self) -> int:
        """The three opcode-extension bits ``/0``-``/7`` of ModRM; -1 without one."""
        return -1 if self.modrm is None else self.modrm >> 3 & 7

    @property
    def reg(self) -> int:
        """The general register number 0-15 in ModRM.reg; -1 without one."""
        return -1 if self.modrm is None else (self.modrm >> 3 & 7) | (self.rex & 4) << 1

    @property
    def rm(self) -> int:
        """The general register number 0-15 in ModRM.rm, meaningful when :attr:`mod` is 3; -1 without one."""
        return -1 if self.modrm is None else (self.modrm & 7) | (self.rex & 1) << 3

    @property
    def opcode_register(self) -> int:
        """The general register number 0-15 in the low bits of the opcode."""
        return (self.opcode & 7) | (self.rex & 1) << 3

    @property
    def rip_relative(self) -> bool:
        """Whether the memory operand is relative to the next instruction."""
        return self.modrm is not None and self.modrm & 0xC7 == 0x05


_LEGACY_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))


def _opcodes(text: str) -> frozenset[int]:
    """The opcodes of a list such as ``63 80-8f``."""
    chosen: set[int] = set()
    for item in text.split():
        first, _, last = item.partition("-")
        chosen.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(chosen)


_ONE_UNDEFINED = _opcodes("06-07 0e 16-17 1e-1f 27 2f 37 3f 60-61 82 9a ce d4-d6 ea")
_ONE_MODRM = _opcodes(
    "00-03 08-0b 10-13 18-1b 20-23 28-2b 30-33 38-3b 63 69 6b 80-8f c0-c1 c6-c7 d0-d3 d8-df f6-f7 fe-ff"
)
_ONE_IMM8 = _opcodes("04 0c 14 1c 24 2c 34 3c 6a-6b 70-7f 80 83 a8 b0-b7 c0-c1 c6 cd e0-e7 eb")
_ONE_IMMZ = _opcodes("05 0d 15 1d 25 2d 35 3d 68 69 81 a9 c7")

_TWO_UNDEFINED = _opcodes("04 0a 0c 24-27 36 39 3b-3f a6-a7")
_TWO_PLAIN = _opcodes("05-09 0b 0e 30-37 77 80-8f a0-a2 a8-aa c8-cf")
_TWO_IMM8 = _opcodes("0f 70-73 a4 ac ba c2 c4-c6")

_VECTOR_0F_IMM8 = _opcodes("70-73 c2 c4-c6")
# The opcode maps behind each escape byte: VEX with three and two bytes, EVEX, XOP.
_VECTOR_MAPS = {0xC4: (1, 2, 3), 0xC5: (1,), 0x62: (1, 2, 3, 5, 6), 0x8F: (8, 9, 10)}

MAX_LENGTH = 15
"""The longest instruction, in bytes; a longer one raises #GP."""


class _Truncated(Exception):
    """The bytes end inside the instruction."""


class _Operand(NamedTuple):
    """ModRM, SIB and displacement."""

    modrm: int | None = None
    sib: int | None = None
    displacement: int = 0

    @property
    def extension(self) -> int:
        return -1 if self.modrm is None else self.modrm >> 3 & 7


_NO_OPERAND = _Operand()


class _Reader:
    """Reads forward through the bytes of one instruction."""

    def __init__(self, code: bytes, start: int) -> None:
        self._code = code
        self._start = start
        self._end = min(len(code), start + MAX_LENGTH)
        self._position = start
        self.prefixes = b""
        self.rex = 0

    @property
    def operand_size(self) -> int:
        """2, 4 or 8 bytes, by prefix and REX."""
        if self.rex & 8:
            return 8
        return 2 if 0x66 in self.prefixes else 4

    def peek(self) -> int:
        if self._position >= self._end:
            raise _Truncated
        return self._code[self._position]

    def byte(self) -> int:
        value = self.peek()
        self._position += 1
        return value

    def signed(self, size: int) -> int:
        if self._position + size > self._end:
            raise _Truncated
        value = int.from_bytes(self._code[self._position : self._position + size], "little", signed=True)
        self._position += size
        return value

    def legacy_prefixes(self) -> None:
        while self.peek() in _LEGACY_PREFIXES:
            self._position += 1
        self.prefixes = bytes(self._code[self._start : self._position])

    def operand(self) -> _Operand:
        modrm = self.byte()
        mod, rm = modrm >> 6, modrm & 7
        if mod == 3:
            return _Operand(modrm)
        sib = self.byte() if rm == 4 else None
        if mod == 1:
            return _Operand(modrm, sib, self.signed(1))
        if mod == 2 or rm == 5 or (sib is not None and sib & 7 == 5):
            return _Operand(modrm, sib, self.signed(4))
        return _Operand(modrm, sib)

    def finish(self, table: OpcodeMap, opcode: int, operand: _Operand, immediate: int) -> X86Instruction:
        whole = bytes(self._code[self._start : self._position])
        return X86Instruction(whole, self.prefixes, self.rex, table, opcode, *operand, immediate)


def decode(code: bytes, offset: int = 0) -> X86Instruction | None:
    """The 64-bit-mode instruction at ``offset`` of ``code``; None when it is unknown, undefined or cut off."""
    try:
        return _decode(_Reader(code, offset))
    except _Truncated:
        return None


def _decode(reader: _Reader) -> X86Instruction | None:
    reader.legacy_prefixes()
    if reader.peek() & 0xF0 == 0x40:
        reader.rex = reader.byte()
        if reader.peek() in _LEGACY_PREFIXES or reader.peek() & 0xF0 == 0x40:
            return None  # the processor ignores such a REX; compilers never emit it
    opcode = reader.byte()
    if opcode in _VECTOR_MAPS and (opcode != 0x8F or reader.peek() & 0x1F >= 8):
        return None if reader.rex else _vector(reader, opcode)
    if opcode != 0x0F:
        return _one_byte(reader, opcode)
    opcode = reader.byte()
    if opcode == 0x38:
        return reader.finish(OpcodeMap.MAP_0F38, reader.byte(), reader.operand(), 0)
    if opcode == 0x3A:
        return reader.finish(OpcodeMap.MAP_0F3A, reader.byte(), reader.operand(), reader.signed(1))
    return _two_byte(reader, opcode)


def _one_byte(reader: _Reader, opcode: int) -> X86Instruction | None:
    if opcode in _ONE_UNDEFINED:
        return None
    operand = reader.operand() if opcode in _ONE_MODRM else _NO_OPERAND
    test = opcode in (0xF6, 0xF7) and operand.extension < 2
    immediate = 0
    if opcode in _ONE_IMM8 or (test and opcode == 0xF6):
        immediate = reader.signed(1)
    elif opcode in _ONE_IMMZ or test:
        immediate = reader.signed(min(reader.operand_size, 4))
    elif 0xB8 <= opcode <= 0xBF:
        immediate = reader.signed(reader.operand_size)
    elif 0xA0 <= opcode <= 0xA3:
        immediate = reader.signed(4 if 0x67 in reader.prefixes else 8)
    elif opcode in (0xE8, 0xE9):
        if reader.operand_size == 2:
            return None  # Intel reads four bytes here, AMD two
        immediate = reader.signed(4)
    elif opcode in (0xC2, 0xCA, 0xC8):
        immediate = reader.signed(2)
        if opcode == 0xC8:
            reader.signed(1)
    return reader.finish(OpcodeMap.ONE_BYTE, opcode, operand, immediate)


def _two_byte(reader: _Reader, opcode: int) -> X86Instruction | None:
    if opcode in _TWO_UNDEFINED:
        return None
    operand = _NO_OPERAND if opcode in _TWO_PLAIN else reader.operand()
    immediate = 0
    if opcode in _TWO_IMM8:
        immediate = reader.signed(1)
    elif 0x80 <= opcode <= 0x8F:
        if reader.operand_size == 2:
            return None  # Intel and AMD disagree about the length, as for E8 and E9
        immediate = reader.signed(4)
    elif opcode == 0x78 and (0x66 in reader.prefixes or 0xF2 in reader.prefixes):
        immediate = reader.signed(1)
        reader.signed(1)
    return reader.finish(OpcodeMap.TWO_BYTE, opcode, operand, immediate)


def _vector(reader: _Reader, escape: int) -> X86Instruction | None:
    table = 1
    first = reader.byte()
    if escape != 0xC5:
        table = first & (0x07 if escape == 0x62 else 0x1F)
        for _ in range(2 if escape == 0x62 else 1):
            reader.byte()
    opcode = reader.byte()
    if table not in _VECTOR_MAPS[escape]:
        return None
    plain = table == 1 and opcode == 0x77 and escape != 0x62
    operand = _NO_OPERAND if plain else reader.operand()
    immediate = 0
    if table in (3, 8) or (table == 1 and opcode in _VECTOR_0F_IMM8):
        immediate = reader.signed(1)
    elif table == 10:
        immediate = reader.signed(4)
    return reader.finish(OpcodeMap.VECTOR, opcode, operand, immediate)

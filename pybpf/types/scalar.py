"""Integers of a given width, signedness and byte order."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}


@dataclass(frozen=True)
class Scalar:
    """An integer as it lies in memory.

    ``size`` is in bytes. ``big_endian`` marks the byte order of the network; all other scalars have the host's.
    """

    name: str
    size: int
    signed: bool = False
    big_endian: bool = False

    @property
    def code(self) -> str:
        """The character of :mod:`struct` for this integer, without a byte order."""
        if self.name == "bool":
            return "?"
        code = _CODES[self.size]
        return code if self.signed else code.upper()

    @property
    def swapped(self) -> bool:
        """Whether the bytes lie the other way round than the host's."""
        return self.big_endian and sys.byteorder == "little"

    @property
    def minimum(self) -> int:
        """The smallest value."""
        return -(1 << (8 * self.size - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """The greatest value."""
        return (1 << (8 * self.size - int(self.signed))) - 1

    def wrap(self, value: int) -> int:
        """``value`` reduced to this width as C does it: modulo 2**bits, then sign-extended."""
        bits = 8 * self.size
        value &= (1 << bits) - 1
        if self.signed and value >> (bits - 1):
            value -= 1 << bits
        return value

    def pack(self, value: int) -> bytes:
        """The bytes of ``value``.

        Raises:
            OverflowError: ``value`` is outside of :attr:`minimum` .. :attr:`maximum`.
        """
        try:
            return struct.pack((">" if self.big_endian else "=") + self.code, value)
        except struct.error as error:
            raise OverflowError(f"{value!r} does not fit {self.name} ({self.minimum} to {self.maximum})") from error

    def unpack(self, buffer: bytes | memoryview, offset: int = 0) -> int:
        """The integer at ``offset`` of ``buffer``."""
        value: int = struct.unpack_from((">" if self.big_endian else "=") + self.code, buffer, offset)[0]
        return value

    def __call__(self, value: int) -> int:
        """A conversion as C does it; inside a BPF program the same expression is compiled."""
        return self.wrap(int(value))

    def __repr__(self) -> str:
        return self.name


if TYPE_CHECKING:
    # A type checker sees plain integers: programs and the Python around them use int values.
    u8 = int
    u16 = int
    u32 = int
    u64 = int
    s8 = int
    s16 = int
    s32 = int
    s64 = int
    u16be = int
    u32be = int
    u64be = int
    boolean = bool
else:
    u8 = Scalar("u8", 1)
    u16 = Scalar("u16", 2)
    u32 = Scalar("u32", 4)
    u64 = Scalar("u64", 8)
    s8 = Scalar("s8", 1, signed=True)
    s16 = Scalar("s16", 2, signed=True)
    s32 = Scalar("s32", 4, signed=True)
    s64 = Scalar("s64", 8, signed=True)
    u16be = Scalar("u16be", 2, big_endian=True)
    u32be = Scalar("u32be", 4, big_endian=True)
    u64be = Scalar("u64be", 8, big_endian=True)
    boolean = Scalar("bool", 1)

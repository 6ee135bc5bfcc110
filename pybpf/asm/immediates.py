"""Immediates and offsets: what fits, and the one form in which each number is kept."""

from __future__ import annotations

from pybpf.asm.errors import AsmError


def signed32(value: int) -> int:
    """An immediate that the processor extends with its sign to 64 bits.

    Raises:
        AsmError: the value needs more than 32 bits with sign; load it with ``load_imm64`` first.
    """
    if -0x8000_0000 <= value <= 0x7FFF_FFFF:
        return int(value)
    raise AsmError(f"immediate {value:#x} does not fit 32 bits with sign; load it into a register with load_imm64")


def either32(value: int) -> int:
    """An immediate of a 32-bit operation, given with or without sign, kept with it.

    Raises:
        AsmError: the value fits neither.
    """
    if -0x8000_0000 <= value <= 0x7FFF_FFFF:
        return int(value)
    if 0 <= value <= 0xFFFF_FFFF:
        return int(value) - 0x1_0000_0000
    raise AsmError(f"immediate {value:#x} does not fit 32 bits")


def either64(value: int) -> int:
    """A 64-bit immediate, given with or without sign, kept with it.

    Raises:
        AsmError: the value fits neither.
    """
    if -(1 << 63) <= value < 1 << 63:
        return int(value)
    if 0 <= value < 1 << 64:
        return int(value) - (1 << 64)
    raise AsmError(f"immediate {value:#x} does not fit 64 bits")


def signed16(value: int) -> int:
    """An offset.

    Raises:
        AsmError: it does not fit 16 bits with sign.
    """
    if -0x8000 <= value <= 0x7FFF:
        return int(value)
    raise AsmError(f"offset {value} does not fit 16 bits with sign")


def halves(low: int, high: int) -> int:
    """A 64-bit immediate of two unsigned halves, kept with its sign."""
    return either64((low & 0xFFFF_FFFF) | (high & 0xFFFF_FFFF) << 32)

"""Names of the language that the compiler itself knows, beside ``len``, ``min``, ``max``, ``range`` and ``sizeof``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pybpf.errors import OutsideProgram
from pybpf.types import sizeof

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


def unroll(sequence: Iterable[T]) -> Iterable[T]:
    """``for i in unroll(range(4))``: the body is compiled once per element, which is a constant in it."""
    raise OutsideProgram("pybpf.lang", "unroll")


def after(value: Any) -> Any:
    """The address of the byte behind a struct, such as the tail of a ring buffer record."""
    raise OutsideProgram("pybpf.lang", "after")


def swap16(value: int) -> int:
    """The low 16 bits with their bytes exchanged; in Python and in a program."""
    return int.from_bytes((value & 0xFFFF).to_bytes(2, "big"), "little")


def swap32(value: int) -> int:
    """The low 32 bits with their bytes reversed; in Python and in a program."""
    return int.from_bytes((value & 0xFFFFFFFF).to_bytes(4, "big"), "little")


def swap64(value: int) -> int:
    """The 64 bits with their bytes reversed; in Python and in a program."""
    return int.from_bytes((value & (1 << 64) - 1).to_bytes(8, "big"), "little")


__all__ = ["after", "sizeof", "swap16", "swap32", "swap64", "unroll"]

"""What instructions refer to: registers, kinds of calls and of wide immediates, names resolved later, source lines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Union


class Register(IntEnum):
    """R0 holds results, R1 to R5 arguments, R6 to R9 outlive calls, R10 is the frame pointer (read only)."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    R10 = 10
    R11 = 11
    """The kernel's own scratch register: seen in translated programs, refused by the verifier."""


R0 = Register.R0
R1 = Register.R1
R2 = Register.R2
R3 = Register.R3
R4 = Register.R4
R5 = Register.R5
R6 = Register.R6
R7 = Register.R7
R8 = Register.R8
R9 = Register.R9
R10 = Register.R10


class CallKind(IntEnum):
    """What a call calls: the source register field of the call."""

    HELPER = 0
    FUNCTION = 1
    """Another function of the program, relative to the call; Linux 4.16."""
    KFUNC = 2
    """A kernel function by its BTF id; Linux 5.13."""


class WideKind(IntEnum):
    """What a 64-bit immediate stands for: the source register field of ``ld_imm64``."""

    VALUE = 0
    MAP_FD = 1
    MAP_VALUE = 2
    """An address inside the value of a map with one element; Linux 5.2."""
    BTF_ID = 3
    """The address of a kernel variable; Linux 5.10."""
    FUNCTION = 4
    """A function of the program, for helpers that call back; Linux 5.13."""
    MAP_INDEX = 5
    """MAP_FD by index into the load's file descriptor array; Linux 5.14."""
    MAP_INDEX_VALUE = 6


@dataclass(frozen=True)
class MapReference:
    """A map by its name; bound to its file descriptor when the program is loaded."""

    name: str


@dataclass(frozen=True)
class MapValueReference:
    """An address inside a map's only value; ``offset`` in bytes from its start."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class KfuncReference:
    """A kernel function by its name; bound to its BTF id when the program is loaded."""

    name: str


Reference = Union[MapReference, MapValueReference, KfuncReference]


@dataclass(frozen=True)
class SourceLine:
    """Where an instruction comes from. ``line`` and ``column`` count from 1; ``text`` is the line itself."""

    file: str
    line: int
    column: int = 1
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

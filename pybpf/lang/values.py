"""What an expression of a program can be while it is compiled."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Union

from pybpf.lang.ir import VReg
from pybpf.types import Scalar

if TYPE_CHECKING:
    from pybpf.lang.contexts import ContextType
    from pybpf.lang.ir import Base
    from pybpf.types import BpfType

U64 = Scalar("u64", 8)
S64 = Scalar("s64", 8, signed=True)
BOOL = Scalar("bool", 1)


class Space(Enum):
    """Whose memory a pointer points into; decides whether an augmented assignment is atomic."""

    NONE = "nothing yet"
    STACK = "the stack"
    MAP = "a map shared by all CPUs"
    PER_CPU = "a per-CPU map"
    RING = "a ring buffer record"


@dataclass(frozen=True)
class Static:
    """A Python object known when the program is compiled: an integer, a class, a helper, a module, None."""

    value: Any


@dataclass(frozen=True)
class Number:
    """An integer in a register, extended to 64 bits by its type; its type is u64, s64 or bool."""

    register: VReg
    type: Scalar

    @property
    def signed(self) -> bool:
        """Whether comparisons and shifts honour the sign."""
        return self.type.signed


@dataclass(frozen=True)
class Pointer:
    """An address: ``base`` + ``offset``, where a value of type ``target`` lies (None: bytes of unknown shape).

    A ``nullable`` pointer must be compared with None before it is used. ``align`` is what ``base`` is a multiple of.
    """

    base: Base
    offset: int
    target: BpfType | None
    space: Space
    nullable: bool = False
    align: int = 8

    @property
    def alignment(self) -> int:
        """What the address is a multiple of, as far as it is known; at most 8."""
        return min(self.align, self.offset & -self.offset or 8)

    def at(self, offset: int, target: BpfType | None) -> Pointer:
        """A pointer ``offset`` bytes further to something of another type."""
        return replace(self, offset=self.offset + offset, target=target, nullable=False)


@dataclass(frozen=True)
class Context:
    """The program's argument."""

    type: ContextType
    register: VReg


@dataclass(frozen=True)
class Owner:
    """The ``self`` of the program's class."""


@dataclass(frozen=True)
class Method:
    """A method looked up on a map, a context or a pointer, not yet called."""

    receiver: Any
    name: str


@dataclass(frozen=True)
class Nothing:
    """The result of a call that has none."""


Value = Union[Static, Number, Pointer, Context, Owner, Method, Nothing]


def kind_of(value: Value) -> str:
    """What ``value`` is, in words for an error message."""
    if isinstance(value, Static):
        return _kind_of_object(value.value)
    if isinstance(value, Number):
        return f"an integer ({value.type.name})"
    if isinstance(value, Pointer):
        if value.space is Space.NONE:
            return "None"
        target = value.target.__name__ if isinstance(value.target, type) else repr(value.target or "bytes")
        return f"a pointer to {target}" + (" that may be None" if value.nullable else "")
    if isinstance(value, Context):
        return f"the context ({value.type.name})"
    if isinstance(value, Method):
        return f"the method {value.name}"
    return "nothing" if isinstance(value, Nothing) else "self"


def _kind_of_object(value: object) -> str:
    if value is None or value is Ellipsis:
        return repr(value)
    if isinstance(value, (bool, int, float, complex, str, bytes)):
        return f"the constant {value!r}"
    if isinstance(value, Scalar):
        return f"the type {value.name}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, types.ModuleType):
        return f"the module {value.__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__}"
    if hasattr(value, "map_type"):
        return f"the map {getattr(value, 'name', '')}"
    if hasattr(value, "program_type"):
        return f"the program {getattr(value, 'name', '')}"
    return f"a constant of type {type(value).__name__}"

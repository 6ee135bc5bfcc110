"""BTF types as values; they refer to each other by id, 0 is ``void``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from pybpf.btf.kinds import FuncLinkage, IntEncoding, Kind, VarLinkage


@dataclass(frozen=True)
class Int:
    """An integer: ``size`` in bytes, ``bits`` of them used from bit ``offset`` on (0 but for old compilers)."""

    name: str
    size: int
    encoding: IntEncoding = IntEncoding.NONE
    bits: int = 0
    offset: int = 0

    @property
    def signed(self) -> bool:
        """Whether it has a sign."""
        return bool(self.encoding & IntEncoding.SIGNED)


@dataclass(frozen=True)
class Float:
    """A floating point number of ``size`` bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Pointer:
    """A pointer to ``type``."""

    type: int


@dataclass(frozen=True)
class Array:
    """``length`` elements of ``type``; ``index_type`` is an integer without further meaning."""

    type: int
    index_type: int
    length: int


@dataclass(frozen=True)
class Member:
    """A member of a struct or union; ``bit_offset`` from its start; ``bit_size`` is 0 but for bit fields."""

    name: str
    type: int
    bit_offset: int
    bit_size: int = 0

    @property
    def offset(self) -> int:
        """In bytes, for what is no bit field."""
        return self.bit_offset // 8


@dataclass(frozen=True)
class Composite:
    """A struct, or a union; ``name`` is empty for an anonymous one, ``size`` in bytes."""

    name: str
    size: int
    members: tuple[Member, ...]
    is_union: bool = False


@dataclass(frozen=True)
class EnumValue:
    """One name of an enumeration."""

    name: str
    value: int


@dataclass(frozen=True)
class Enumeration:
    """An enumeration of ``size`` bytes; ``wide`` when it is recorded with 64-bit values (Linux 6.0)."""

    name: str
    size: int
    values: tuple[EnumValue, ...]
    signed: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Forward:
    """A struct or union whose members are not known here."""

    name: str
    is_union: bool = False


@dataclass(frozen=True)
class Typedef:
    """Another name for ``type``."""

    name: str
    type: int


@dataclass(frozen=True)
class Qualifier:
    """``const``, ``volatile`` or ``restrict`` of ``type``."""

    kind: Kind
    type: int


@dataclass(frozen=True)
class Parameter:
    """A parameter; the last one of a variadic function has no name and type 0."""

    name: str
    type: int


@dataclass(frozen=True)
class FuncProto:
    """What a function takes and gives; ``returns`` 0 is void."""

    returns: int
    params: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class Func:
    """A function; ``proto`` is the id of its prototype."""

    name: str
    proto: int
    linkage: FuncLinkage = FuncLinkage.STATIC


@dataclass(frozen=True)
class Var:
    """A variable."""

    name: str
    type: int
    linkage: VarLinkage = VarLinkage.STATIC


@dataclass(frozen=True)
class SectionItem:
    """A variable's place in a section, in bytes."""

    type: int
    offset: int
    size: int


@dataclass(frozen=True)
class DataSection:
    """A section of variables, ``.data`` and the like."""

    name: str
    size: int
    items: tuple[SectionItem, ...]


@dataclass(frozen=True)
class DeclTag:
    """A remark on a type, or on its member or parameter number ``component`` (-1: the type itself)."""

    name: str
    type: int
    component: int = -1


@dataclass(frozen=True)
class TypeTag:
    """A remark on what a pointer points to (``__rcu``, ``__user``)."""

    name: str
    type: int


Type = Union[
    Int,
    Float,
    Pointer,
    Array,
    Composite,
    Enumeration,
    Forward,
    Typedef,
    Qualifier,
    FuncProto,
    Func,
    Var,
    DataSection,
    DeclTag,
    TypeTag,
]

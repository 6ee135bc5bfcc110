"""Questions about types that need more than one record: what lies behind typedefs, sizes, members by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pybpf.btf.errors import BtfError, TypeNotFound
from pybpf.btf.types import (
    Array,
    Composite,
    DataSection,
    Enumeration,
    Float,
    Int,
    Pointer,
    Qualifier,
    Typedef,
    TypeTag,
    Var,
)

if TYPE_CHECKING:
    from pybpf.btf.reader import Btf

_DEPTH_MAX = 64
POINTER_SIZE = 8


@dataclass(frozen=True)
class Place:
    """Where a member lies: ``bit_offset`` from the start of the outermost struct; ``bit_size`` 0 but for bit fields."""

    type: int
    bit_offset: int
    bit_size: int = 0

    @property
    def offset(self) -> int:
        """In bytes, for what is no bit field."""
        return self.bit_offset // 8


def strip(btf: Btf, type_id: int) -> int:
    """The id behind typedefs, qualifiers and tags.

    Raises:
        BtfError: they go in circles.
    """
    current = type_id
    for _ in range(_DEPTH_MAX):
        kind = btf.type(current)
        if not isinstance(kind, (Typedef, Qualifier, TypeTag)):
            return current
        current = kind.type
    raise BtfError("typedefs and qualifiers are nested without end", type_id)


def size_of(btf: Btf, type_id: int) -> int:
    """The size in bytes.

    Raises:
        BtfError: the type has none (void, a function, a struct declared only), or contains itself.
    """
    count = 1
    current = type_id
    for _ in range(_DEPTH_MAX):
        current = strip(btf, current)
        kind = btf.type(current)
        if isinstance(kind, (Int, Float, Composite, Enumeration, DataSection)):
            return count * kind.size
        if isinstance(kind, Pointer):
            return count * POINTER_SIZE
        if not isinstance(kind, (Array, Var)):
            raise BtfError("has no size", type_id)
        count *= kind.length if isinstance(kind, Array) else 1
        current = kind.type
    raise BtfError("contains itself", type_id)


def member(btf: Btf, type_id: int, path: str) -> Place:
    """Where ``path`` (``"mm.owner.pid"`` without pointers on its way) lies in a struct, through anonymous members.

    Raises:
        TypeNotFound: a name on the path is no member.
        BtfError: something on the path is no struct.
    """
    place = Place(type_id, 0)
    for name in path.split("."):
        current = strip(btf, place.type)
        if not isinstance(btf.type(current), Composite):
            raise BtfError(f"is no struct, so it has no member {name}", current)
        found = _member(btf, current, name)
        if found is None:
            raise TypeNotFound(path, "member", f"type {type_id} of {btf.name}")
        place = Place(found.type, place.bit_offset + found.bit_offset, found.bit_size)
    return place


def _member(btf: Btf, type_id: int, name: str) -> Place | None:
    """The member, searched in anonymous members too; broken BTF may nest a struct in itself: each is entered once."""
    entered: set[int] = set()
    waiting = [(type_id, 0)]
    while waiting:
        outer, start = waiting.pop()
        current = strip(btf, outer)
        kind = btf.type(current)
        if not isinstance(kind, Composite) or current in entered:
            continue
        entered.add(current)
        for item in kind.members:
            if item.name == name:
                return Place(item.type, start + item.bit_offset, item.bit_size)
            if not item.name:
                waiting.append((item.type, start + item.bit_offset))
    return None

"""When a type of the program and one of the kernel count as the same: by field, loosely, and member by member."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpf.btf import (
    Array,
    Composite,
    Enumeration,
    Float,
    Forward,
    FuncProto,
    Int,
    Pointer,
    Typedef,
    strip,
)

if TYPE_CHECKING:
    from pybpf.btf import Btf
    from pybpf.btf.types import Type

_DEPTH_MAX = 32


def essential(name: str) -> str:
    """A name without its flavour: ``task_struct___old`` stands for ``task_struct``."""
    at = name.rfind("___")
    return name[:at] if at > 0 and not name.endswith("___") else name


def same_kind(one: Type | None, other: Type | None) -> bool:
    """Whether both are structs, or both unions, pointers and so on; all enumerations are one kind."""
    if isinstance(one, Composite) and isinstance(other, Composite):
        return one.is_union == other.is_union
    return type(one) is type(other)


def fields_compatible(local_btf: Btf, local: int, btf: Btf, target: int) -> bool:
    """Whether a member may have changed its type from one to the other: any struct, pointer or integer will do."""
    for _ in range(_DEPTH_MAX):
        one, other = local_btf.type(strip(local_btf, local)), btf.type(strip(btf, target))
        if isinstance(one, Composite) and isinstance(other, Composite):
            return True
        if type(one) is not type(other):
            return False
        if isinstance(one, (Forward, Enumeration)) and isinstance(other, (Forward, Enumeration)):
            names = essential(one.name), essential(other.name)
            return not all(names) or names[0] == names[1]
        if not isinstance(one, Array) or not isinstance(other, Array):
            return isinstance(one, (Pointer, Float, Int))
        local, target = one.type, other.type
    return False


def types_compatible(local_btf: Btf, local: int, btf: Btf, target: int, depth: int = _DEPTH_MAX) -> bool:
    """Whether two types of one name are the same as far as "does it exist" goes: kinds, and what pointers lead to."""
    one, other = local_btf.type(strip(local_btf, local)), btf.type(strip(btf, target))
    if depth <= 0 or not same_kind(one, other):
        return False
    if isinstance(one, (Pointer, Array)) and isinstance(other, (Pointer, Array)):
        return types_compatible(local_btf, one.type, btf, other.type, depth - 1)
    if isinstance(one, FuncProto) and isinstance(other, FuncProto):
        pairs = [(one.returns, other.returns)] + [(p.type, q.type) for p, q in zip(one.params, other.params)]
        return len(one.params) == len(other.params) and all(
            types_compatible(local_btf, p, btf, q, depth - 1) for p, q in pairs
        )
    return one is None or isinstance(one, (Composite, Enumeration, Forward, Int))


def types_match(
    local_btf: Btf, local: int, btf: Btf, target: int, *, behind_pointer: bool = False, depth: int = _DEPTH_MAX
) -> bool:
    """Whether two types are the same member by member; behind pointers the names of structs suffice."""
    one, other = local_btf.type(strip(local_btf, local)), btf.type(strip(btf, target))
    if depth <= 0 or essential(_name(one)) != essential(_name(other)):
        return False

    def match(p: int, q: int, *, behind: bool = behind_pointer) -> bool:
        return types_match(local_btf, p, btf, q, behind_pointer=behind, depth=depth - 1)

    if isinstance(one, (Composite, Forward)) and isinstance(other, (Composite, Forward)):
        if behind_pointer:
            return one.is_union == other.is_union
        if not isinstance(one, Composite) or not isinstance(other, Composite):
            return type(one) is type(other) and one.is_union == other.is_union
        theirs = {essential(item.name): item.type for item in other.members}
        return one.is_union == other.is_union and all(
            essential(item.name) in theirs and match(item.type, theirs[essential(item.name)]) for item in one.members
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, Enumeration) and isinstance(other, Enumeration):
        known = {essential(value.name) for value in other.values}
        return all(essential(value.name) in known for value in one.values)
    if isinstance(one, Int) and isinstance(other, Int):
        return one.size == other.size and one.signed == other.signed
    if isinstance(one, Pointer) and isinstance(other, Pointer):
        return match(one.type, other.type, behind=True)
    if isinstance(one, Array) and isinstance(other, Array):
        return one.length == other.length and match(one.type, other.type)
    if isinstance(one, FuncProto) and isinstance(other, FuncProto):
        return (
            len(one.params) == len(other.params)
            and all(match(p.type, q.type) for p, q in zip(one.params, other.params))
            and match(one.returns, other.returns)
        )
    return one is None


def _name(kind: Type | None) -> str:
    return kind.name if isinstance(kind, (Composite, Enumeration, Forward, Typedef)) else ""

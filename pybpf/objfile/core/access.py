"""A path into a type: ``"0:2:1"`` of the compiler's record as steps, and the same steps found in the kernel's type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pybpf.btf import Array, BtfError, Composite, Enumeration, size_of, strip
from pybpf.objfile.core.match import essential, fields_compatible

if TYPE_CHECKING:
    from pybpf.btf import Btf

_DEPTH_MAX = 64


@dataclass(frozen=True)
class Step:
    """Member or element ``index`` of a type; ``name`` is None for elements of arrays and for the first step."""

    type_id: int
    index: int
    name: str | None = None


@dataclass(frozen=True)
class Access:
    """Where a path leads: ``type_id`` is what lies there, ``bit_offset`` counts from the root's start."""

    root: int
    steps: tuple[Step, ...]
    type_id: int
    bit_offset: int = 0

    def to(self, step: Step, type_id: int, bits: int) -> Access:
        """One step further."""
        if len(self.steps) >= _DEPTH_MAX:
            raise BtfError("a path into a type is nested without end", self.root)
        return replace(self, steps=(*self.steps, step), type_id=type_id, bit_offset=self.bit_offset + bits)

    @property
    def last(self) -> Step:
        """The step that leads there."""
        return self.steps[-1]


def local_access(btf: Btf, root: int, path: str, *, of_enum: bool) -> Access:
    """The path of a relocation through the program's own types.

    Raises:
        BtfError: the path is broken.
    """
    try:
        indices = [int(part) for part in path.split(":")]
    except ValueError:
        raise BtfError(f"{path!r} is no path into a type", root) from None
    if len(indices) > _DEPTH_MAX or min(indices) < 0:
        raise BtfError(f"{path!r} is no path into a type", root)
    base = strip(btf, root)
    first = indices[0]
    if of_enum:
        kind = btf.type(base)
        if not isinstance(kind, Enumeration) or first >= len(kind.values) or len(indices) != 1:
            raise BtfError(f"{path!r} is no name of an enumeration", root)
        return Access(root, (Step(base, first, kind.values[first].name),), base)
    access = Access(root, (Step(base, first),), base, first * size_of(btf, base) * 8)
    for index in indices[1:]:
        access = _deeper(btf, access, index)
    return access


def _deeper(btf: Btf, access: Access, index: int) -> Access:
    current = strip(btf, access.type_id)
    kind = btf.type(current)
    if isinstance(kind, Composite):
        if index >= len(kind.members):
            raise BtfError(f"{kind.name} has no member number {index}", current)
        item = kind.members[index]
        if not item.name:
            # an anonymous struct is no step of its own: the kernel may nest the members otherwise
            return replace(access, type_id=item.type, bit_offset=access.bit_offset + item.bit_offset)
        return access.to(Step(current, index, item.name), item.type, item.bit_offset)
    if isinstance(kind, Array):
        if index >= kind.length and not _flexible(btf, access.last, kind):
            raise BtfError(f"an array of {kind.length} has no element {index}", current)
        element = strip(btf, kind.type)
        return access.to(Step(element, index), element, 8 * index * size_of(btf, element))
    raise BtfError("a path goes on where nothing has members", current)


def target_access(local_btf: Btf, local: Access, btf: Btf, candidate: int) -> Access | None:
    """The same steps through a type of the kernel; None when one of them leads nowhere there.

    Raises:
        BtfError: one of the types is broken.
    """
    base = strip(btf, candidate)
    first = local.steps[0]
    if first.name is not None:
        kind = btf.type(base)
        values = kind.values if isinstance(kind, Enumeration) else ()
        for index, value in enumerate(values):
            if essential(value.name) == essential(first.name):
                return Access(base, (Step(base, index, value.name),), base)
        return None
    bits = 8 * first.index * size_of(btf, base) if first.index else 0
    access: Access | None = Access(base, (Step(base, first.index),), base, bits)
    for step in local.steps[1:]:
        assert access is not None
        if step.name is not None:
            access = _member(local_btf, step, btf, access, access.type_id, 0)
        else:
            access = _element(btf, access, step.index)
        if access is None:
            return None
    return access


def _element(btf: Btf, access: Access, index: int) -> Access | None:
    kind = btf.type(strip(btf, access.type_id))
    if not isinstance(kind, Array) or (index >= kind.length and not _flexible(btf, access.last, kind)):
        return None
    element = strip(btf, kind.type)
    return access.to(Step(element, index), element, 8 * index * size_of(btf, element))


def _member(local_btf: Btf, step: Step, btf: Btf, access: Access, type_id: int, depth: int) -> Access | None:
    """The member of this name in ``type_id``, through anonymous members too."""
    current = strip(btf, type_id)
    kind = btf.type(current)
    local_kind = local_btf.type(step.type_id)
    if not isinstance(kind, Composite) or not isinstance(local_kind, Composite) or depth > _DEPTH_MAX:
        return None
    for index, item in enumerate(kind.members):
        if not item.name:
            inner = replace(access, bit_offset=access.bit_offset + item.bit_offset)
            found = _member(local_btf, step, btf, inner, item.type, depth + 1)
            if found is not None:
                return found
        elif item.name == step.name:
            if not fields_compatible(local_btf, local_kind.members[step.index].type, btf, item.type):
                return None
            return access.to(Step(current, index, item.name), item.type, item.bit_offset)
    return None


def _flexible(btf: Btf, step: Step, kind: Array) -> bool:
    """Whether this array ends its struct with an open length: 0 elements, or 1 by an old habit."""
    if step.name is None or kind.length > 1:
        return False
    outer = btf.type(step.type_id)
    return isinstance(outer, Composite) and step.index == len(outer.members) - 1

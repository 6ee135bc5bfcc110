"""C types of an object's BTF as types of :mod:`pybpf.types`, so that its maps and variables read like declared ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pybpf.btf import Array, BtfError, Composite, Enumeration, Int, IntEncoding, Pointer, size_of, strip
from pybpf.types import ArrayType, Scalar, Struct, boolean, sizeof

if TYPE_CHECKING:
    from pybpf.btf import Btf
    from pybpf.types import BpfType

_DEPTH_MAX = 16


def raw_type(size: int) -> BpfType | None:
    """The type of ``size`` bytes of which nothing more is known: an integer where it could be one; None for none."""
    if size in (1, 2, 4, 8):
        return Scalar(f"u{8 * size}", size)
    return _bytes(size) if size > 0 else None


def type_of(btf: Btf, type_id: int, depth: int = _DEPTH_MAX) -> BpfType | None:
    """The type, field by field; what has no counterpart here (unions, bit fields, floats) becomes bytes.

    Arrays of ``char`` are bytes, pointers are numbers. None for what has no size.

    Raises:
        BtfError: it is broken.
    """
    current = strip(btf, type_id)
    kind = btf.type(current)
    if depth <= 0:
        raise BtfError("is nested too deep", type_id)
    if isinstance(kind, Int) and kind.size in (1, 2, 4, 8):
        if kind.encoding & IntEncoding.BOOL:
            return cast("BpfType", boolean)
        return Scalar(f"{'s' if kind.signed else 'u'}{8 * kind.size}", kind.size, signed=kind.signed)
    if isinstance(kind, Enumeration) and kind.size in (1, 2, 4, 8):
        return Scalar(f"{'s' if kind.signed else 'u'}{8 * kind.size}", kind.size, signed=kind.signed)
    if isinstance(kind, Pointer):
        return Scalar("u64", 8)
    if isinstance(kind, Array):
        return _array(btf, kind, depth)
    if isinstance(kind, Composite) and not kind.is_union and kind.size:
        return _struct(btf, kind, depth)
    size = size_of(btf, current) if kind is not None else 0
    return _bytes(size) if size else None


def _array(btf: Btf, kind: Array, depth: int) -> BpfType | None:
    element = type_of(btf, kind.type, depth - 1)
    if element is None or not kind.length:
        return None
    plain = btf.type(strip(btf, kind.type))
    if isinstance(plain, Int) and plain.name in ("char", "unsigned char") and plain.size == 1:
        return _bytes(kind.length)
    return ArrayType(element, kind.length)


def _struct(btf: Btf, kind: Composite, depth: int) -> BpfType:
    fields: list[tuple[str, BpfType, int]] = []
    for item in kind.members:
        found = None if item.bit_size or item.bit_offset % 8 else type_of(btf, item.type, depth - 1)
        if found is not None and item.name.isidentifier():
            fields.append((item.name, found, item.offset))
    natural = _make(kind.name, {name: found for name, found, _ in fields}, packed=False)
    if natural.SIZE == kind.size and [f.offset for f in natural.FIELDS] == [at for _, _, at in fields]:
        return natural
    return _make(kind.name, _with_gaps(fields, kind.size), packed=True)


def _with_gaps(fields: list[tuple[str, BpfType, int]], size: int) -> dict[str, BpfType]:
    """The fields of a packed struct, with bytes in every gap; a field that overlaps the one before is left out."""
    out: dict[str, BpfType] = {}
    end = 0
    for name, kind, offset in sorted(fields, key=lambda each: each[2]):
        if offset < end or offset + sizeof(kind) > size:
            continue
        if offset > end:
            out[f"_gap{end}"] = _bytes(offset - end)
        out[name] = kind
        end = offset + sizeof(kind)
    if end < size:
        out[f"_gap{end}"] = _bytes(size - end)
    return out


def _make(name: str, fields: dict[str, BpfType], *, packed: bool) -> type[Struct]:
    space: dict[str, Any] = {"__annotations__": fields, "__doc__": f"``struct {name}``.", "__module__": __name__}
    metaclass: Any = type(Struct)
    return cast("type[Struct]", metaclass(name or "anonymous", (Struct,), space, packed=packed))


def _bytes(size: int) -> ArrayType:
    return ArrayType(Scalar("u8", 1), size, as_bytes=True)

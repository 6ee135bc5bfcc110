"""The BTF of a written object: its maps' declarations, its functions, and the kernel functions it calls."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pybpf.btf import (
    Array,
    BtfBuilder,
    BtfError,
    Composite,
    Enumeration,
    FuncLinkage,
    FuncProto,
    Int,
    IntEncoding,
    Member,
    Pointer,
    SectionItem,
    VarLinkage,
    add_type,
    strip,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pybpf.btf import Btf, FuncInfo, LineInfo
    from pybpf.maps import Map

_DEPTH_MAX = 8
_EXT_MAGIC = 0xEB9F


def map_type(builder: BtfBuilder, declared: Map, inner: Map | None = None) -> tuple[int, int]:
    """The anonymous struct that declares a map: (type id, size in bytes).

    Raises:
        BtfError: a name in its types is no C identifier.
    """
    members = [
        ("type", _uint(builder, declared.map_type)),
        ("max_entries", _uint(builder, declared.max_entries)),
    ]
    if declared.flags:
        members.append(("map_flags", _uint(builder, int(declared.flags))))
    if inner is not None:
        members.append(("key_size", _uint(builder, declared.key_size)))
        of_elements = builder.ptr(map_type(builder, inner)[0])
        members.append(("values", builder.array(of_elements, 0)))
    else:
        typed = declared.type_use.name != "NONE"
        for what, kind, size in (
            ("key", declared.key, declared.key_size),
            ("value", declared.value, declared.value_size),
        ):
            if kind is not None and typed:
                members.append((what, builder.ptr(add_type(builder, kind))))
            elif size:
                members.append((f"{what}_size", _uint(builder, size)))
    placed = [Member(name, of, 64 * index) for index, (name, of) in enumerate(members)]
    return builder.struct("", 8 * len(members), placed), 8 * len(members)


def variable(builder: BtfBuilder, name: str, of: int) -> int:
    """A global variable."""
    return builder.var(name, of, VarLinkage.GLOBAL)


def program_type(builder: BtfBuilder, name: str, *, entry: bool) -> int:
    """A function's type: a program takes a context; of the functions it calls only the name is known."""
    integer = builder.int_("int", 4, signed=True)
    params = [("ctx", builder.ptr())] if entry else []
    linkage = FuncLinkage.GLOBAL if entry else FuncLinkage.STATIC
    return builder.func(name, builder.func_proto(integer, params), linkage)


def kernel_functions(builder: BtfBuilder, kernel: Btf, names: Sequence[str]) -> None:
    """The section ``.ksyms``: kernel functions with the prototypes that this kernel gives them.

    Raises:
        TypeNotFound: the kernel has no such function.
    """
    items = []
    for name in names:
        proto = kernel.func_proto(name)
        params = [(p.name or f"p{i}", _copy(builder, kernel, p.type)) for i, p in enumerate(proto.params)]
        of = builder.func_proto(_copy(builder, kernel, proto.returns), params)
        items.append(SectionItem(builder.func(name, of, FuncLinkage.EXTERN), 0, 0))
    builder.datasec(".ksyms", 0, items)


def ext_section(builder: BtfBuilder, functions: dict[str, list[FuncInfo]], lines: dict[str, list[LineInfo]]) -> bytes:
    """The section ``.BTF.ext`` of these records; their slots count from the start of their section."""
    func_part = bytearray(struct.pack("=I", 8))
    for section, infos in functions.items():
        func_part += struct.pack("=II", builder.string(section), len(infos))
        func_part += b"".join(struct.pack("=II", 8 * info.slot, info.type_id) for info in infos)
    line_part = bytearray(struct.pack("=I", 16))
    for section, found in lines.items():
        line_part += struct.pack("=II", builder.string(section), len(found))
        for line in found:
            where = min(line.line, (1 << 22) - 1) << 10 | min(line.column, 1023)
            line_part += struct.pack("=IIII", 8 * line.slot, line.file_offset, line.text_offset, where)
    sizes = (0, len(func_part), len(func_part), len(line_part))
    return struct.pack("=HBBI", _EXT_MAGIC, 1, 0, 24) + struct.pack("=IIII", *sizes) + func_part + line_part


def _uint(builder: BtfBuilder, value: int) -> int:
    """``__uint(name, value)`` of bpf_helpers.h: a pointer to an array of that many integers."""
    return builder.ptr(builder.array(builder.int_("int", 4, signed=True), value))


def _copy(builder: BtfBuilder, btf: Btf, type_id: int, depth: int = _DEPTH_MAX) -> int:
    """A type as far as loaders compare it: structs and enumerations by name and kind alone."""
    kind = btf.type(strip(btf, type_id))
    if kind is None or depth <= 0:
        return 0
    if isinstance(kind, Int):
        return builder.int_(kind.name, kind.size, signed=kind.signed, boolean=bool(kind.encoding & IntEncoding.BOOL))
    if isinstance(kind, Pointer):
        return builder.ptr(_copy(builder, btf, kind.type, depth - 1))
    if isinstance(kind, Composite):
        make = builder.union if kind.is_union else builder.struct
        return make(kind.name, 0, [])
    if isinstance(kind, Enumeration):
        return builder.enum(kind.name, {value.name: value.value for value in kind.values[:1]}, size=kind.size)
    if isinstance(kind, Array):
        return builder.array(_copy(builder, btf, kind.type, depth - 1), kind.length)
    if isinstance(kind, FuncProto):
        params = [(p.name or f"p{i}", _copy(builder, btf, p.type, depth - 1)) for i, p in enumerate(kind.params)]
        return builder.func_proto(_copy(builder, btf, kind.returns, depth - 1), params)
    raise BtfError("cannot be part of a kernel function's prototype", type_id)

"""The maps of an object, read from its sections."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from pybpf.btf import Array, Composite, DataSection, Kind, Pointer, Var, size_of, strip
from pybpf.kernel.constants import MapFlag, MapType
from pybpf.objfile.c_types import type_of
from pybpf.objfile.errors import ObjectError
from pybpf.objfile.image import SymbolKind
from pybpf.objfile.map_specs import MapSpec
from pybpf.types import ArrayType, Scalar

if TYPE_CHECKING:
    from pybpf.btf import Btf
    from pybpf.objfile.image import ObjectImage, Section

BTF_MAPS = ".maps"
LEGACY_MAPS = "maps"
_PIN_BY_NAME = 1
_NUMBERS = {"type", "max_entries", "map_flags", "key_size", "value_size", "pinning", "numa_node", "map_extra"}


def read_maps(image: ObjectImage, btf: Btf | None) -> dict[tuple[int, int], MapSpec]:
    """Every map by (section index, offset in it); maps of variables have offset -1.

    Raises:
        ObjectError: a declaration makes no sense.
        BtfError: the types are broken.
    """
    found: dict[tuple[int, int], MapSpec] = {}
    for section in image.sections:
        if section.name == BTF_MAPS:
            found.update(_btf_maps(image, btf, section))
        elif section.name == LEGACY_MAPS:
            found.update(_legacy_maps(image, section))
        elif is_data(section) and section.size:
            found[section.index, -1] = _data_map(section, btf)
    return found


def is_data(section: Section) -> bool:
    """Whether a section holds variables: ``.data``, ``.rodata``, ``.bss`` and their kind (``.rodata.str1.1``)."""
    return section.allocated and section.name.startswith((".data", ".rodata", ".bss"))


def data_section(btf: Btf | None, name: str) -> tuple[int, DataSection] | None:
    """The BTF record of a section of variables."""
    if btf is None:
        return None
    found = btf.find(name, Kind.DATASEC)
    kind = btf.type(found) if found is not None else None
    return (found, kind) if found is not None and isinstance(kind, DataSection) else None


def _data_map(section: Section, btf: Btf | None) -> MapSpec:
    record = data_section(btf, section.name)
    read_only = section.name.startswith(".rodata")
    return MapSpec(
        section.name,
        MapType.ARRAY,
        key_size=4,
        value_size=section.size,
        max_entries=1,
        flags=MapFlag.MMAPABLE | (MapFlag.RDONLY_PROG if read_only else MapFlag(0)),
        key=Scalar("u32", 4),
        value=ArrayType(Scalar("u8", 1), section.size, as_bytes=True),
        value_type_id=record[0] if record else 0,
        contents=section.data or bytes(section.size),
        frozen=read_only,
    )


def _legacy_maps(image: ObjectImage, section: Section) -> dict[tuple[int, int], MapSpec]:
    """``struct bpf_map_def``: type, key size, value size, number of entries, flags, and what a loader added."""
    symbols = [s for s in image.symbols_of(section.index) if s.kind in (SymbolKind.OBJECT, SymbolKind.NOTYPE)]
    symbols = [s for s in symbols if s.name]
    found = {}
    for symbol in symbols:
        data = section.data[symbol.value : symbol.value + (symbol.size or 20)]
        if len(data) < 16:
            raise ObjectError(image.path, f"map {symbol.name}", f"its definition has {len(data)} bytes, not 16 or more")
        numbers = struct.unpack_from("=IIII", data) + (struct.unpack_from("=I", data, 16) if len(data) >= 20 else (0,))
        kind, key_size, value_size, entries, flags = numbers
        found[section.index, symbol.value] = MapSpec(
            symbol.name, _map_type(image, symbol.name, kind), key_size, value_size, entries, MapFlag(flags)
        )
    return found


def _btf_maps(image: ObjectImage, btf: Btf | None, section: Section) -> dict[tuple[int, int], MapSpec]:
    record = data_section(btf, section.name)
    if btf is None or record is None:
        raise ObjectError(image.path, section.name, "maps are declared in BTF, and there is none: compile with -g")
    offsets = {symbol.name: symbol.value for symbol in image.symbols_of(section.index)}
    found = {}
    for item in record[1].items:
        variable = btf.type(item.type)
        if not isinstance(variable, Var) or variable.name not in offsets:
            raise ObjectError(image.path, section.name, "a variable of the section has no symbol")
        at = offsets[variable.name]
        spec = _btf_map(image, btf, variable.name, variable.type)
        found[section.index, at] = replace(spec, values=_values(image, btf, section, at, variable.type))
    return found


def _values(image: ObjectImage, btf: Btf, section: Section, at: int, type_id: int) -> dict[int, str]:
    """The maps or programs that the elements of ``values`` are set to, by index: relocations of the section."""
    declared = btf.type(strip(btf, type_id))
    members = declared.members if isinstance(declared, Composite) else ()
    place = next((item.offset for item in members if item.name == "values"), None)
    if place is None:
        return {}
    size = next((s.size for s in image.symbols_of(section.index) if s.value == at), 0)
    return {
        (each.offset - at - place) // 8: each.symbol.name
        for each in image.relocations.get(section.index, ())
        if at + place <= each.offset < at + size
    }


def _btf_map(image: ObjectImage, btf: Btf, name: str, type_id: int, depth: int = 0) -> MapSpec:
    where = f"map {name}"
    declared = btf.type(strip(btf, type_id))
    if not isinstance(declared, Composite) or depth > 1:
        raise ObjectError(image.path, where, "its declaration is no struct")
    numbers: dict[str, int] = {}
    types: dict[str, int] = {}
    inner = None
    for item in declared.members:
        if item.name in _NUMBERS:
            numbers[item.name] = _number(image, btf, where, item.name, item.type)
        elif item.name in ("key", "value"):
            pointer = btf.type(strip(btf, item.type))
            if not isinstance(pointer, Pointer):
                raise ObjectError(image.path, where, f"{item.name} is no __type()")
            types[item.name] = pointer.type
        elif item.name == "values":
            inner = _inner(image, btf, name, item.type, depth)
        else:
            raise ObjectError(image.path, where, f"its declaration has an unknown member {item.name!r}")
    sizes = {}
    for what in ("key", "value"):
        sizes[what] = size_of(btf, types[what]) if what in types else numbers.get(f"{what}_size", 0)
        if what in types and numbers.get(f"{what}_size", sizes[what]) != sizes[what]:
            raise ObjectError(image.path, where, f"{what}_size is not the size of its type")
    if inner is not None:
        sizes["value"] = 4
    if "type" not in numbers:
        raise ObjectError(image.path, where, "its declaration has no type")
    return MapSpec(
        name,
        _map_type(image, name, numbers["type"]),
        sizes["key"],
        sizes["value"],
        numbers.get("max_entries", 0),
        MapFlag(numbers.get("map_flags", 0)),
        key=type_of(btf, types["key"]) if "key" in types else None,
        value=type_of(btf, types["value"]) if "value" in types else None,
        key_type_id=types.get("key", 0),
        value_type_id=types.get("value", 0),
        extra=numbers.get("map_extra", 0),
        pinned=numbers.get("pinning", 0) == _PIN_BY_NAME,
        inner=inner,
    )


def _inner(image: ObjectImage, btf: Btf, name: str, type_id: int, depth: int) -> MapSpec | None:
    """What the elements of a map of maps are; None for programs."""
    values = btf.type(strip(btf, type_id))
    pointer = btf.type(strip(btf, values.type)) if isinstance(values, Array) else None
    if not isinstance(pointer, Pointer):
        raise ObjectError(image.path, f"map {name}", "values is no __array()")
    if isinstance(btf.type(strip(btf, pointer.type)), Composite):
        return _btf_map(image, btf, f"{name}.inner", pointer.type, depth + 1)
    return None


def _number(image: ObjectImage, btf: Btf, where: str, name: str, type_id: int) -> int:
    """``__uint(name, 5)`` is a pointer to an array of 5."""
    pointer = btf.type(strip(btf, type_id))
    found = btf.type(strip(btf, pointer.type)) if isinstance(pointer, Pointer) else None
    if not isinstance(found, Array):
        raise ObjectError(image.path, where, f"{name} is no __uint()")
    return found.length


def _map_type(image: ObjectImage, name: str, number: int) -> MapType:
    try:
        return MapType(number)
    except ValueError:
        raise ObjectError(image.path, f"map {name}", f"there is no kind of map with the number {number}") from None

"""The functions of an object: their instructions, with names where the linker's work is still to be done."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pybpf.asm import (
    AsmError,
    CallKind,
    Instruction,
    KfuncReference,
    MapReference,
    MapValueReference,
    SourceLine,
    WideKind,
    decode,
    slot_offsets,
)
from pybpf.objfile.btf_ext import BtfExt
from pybpf.objfile.errors import ObjectError
from pybpf.objfile.image import RelocationKind, SymbolKind
from pybpf.objfile.kconfig import KCONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pybpf.btf import Btf, LineInfo
    from pybpf.objfile.btf_ext import CoreRelocation
    from pybpf.objfile.image import ObjectImage, ObjectSymbol, Relocation, Section
    from pybpf.objfile.kconfig import KconfigVariable
    from pybpf.objfile.map_specs import MapSpec

_SLOT = 8


@dataclass(frozen=True)
class Function:
    """One function; ``label`` is what calls name it by. Slots of ``lines`` and ``relocations`` count from its start.

    ``calls`` are the labels of the functions it calls or takes the address of.
    """

    name: str
    label: str
    section: str
    instructions: tuple[Instruction, ...]
    type_id: int = 0
    lines: tuple[LineInfo, ...] = field(default=(), repr=False)
    relocations: tuple[CoreRelocation, ...] = field(default=(), repr=False)
    calls: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def slots(self) -> int:
        """How many slots of 8 bytes it takes."""
        return sum(ins.slots for ins in self.instructions)


def read_functions(
    image: ObjectImage,
    btf: Btf | None,
    ext: BtfExt,
    maps: Mapping[tuple[int, int], MapSpec],
    kconfig: tuple[KconfigVariable, ...] = (),
) -> dict[str, Function]:
    """Every function of every executable section, by its label.

    Raises:
        ObjectError: its code or its relocations make no sense.
    """
    sections = image.sections_where(lambda section: section.executable and bool(section.data))
    places = _labels(image, sections)
    functions: dict[str, Function] = {}
    for section in sections:
        reader = _Reader(image, btf, ext, maps, places, section, kconfig)
        for symbol in image.symbols_of(section.index):
            if symbol.kind == SymbolKind.FUNC and places[section.index, symbol.value] not in functions:
                found = reader.function(symbol)
                functions[found.label] = found
    return functions


def _labels(image: ObjectImage, sections: tuple[Section, ...]) -> dict[tuple[int, int], str]:
    """The label of the function at (section, offset): its name, unless static functions share it."""
    places: dict[tuple[int, int], str] = {}
    taken: set[str] = set()
    for section in sections:
        for symbol in image.symbols_of(section.index):
            if symbol.kind == SymbolKind.FUNC and (section.index, symbol.value) not in places:
                label = symbol.name
                if label in taken:
                    label = f"{symbol.name}@{section.name}+{symbol.value}"
                taken.add(label)
                places[section.index, symbol.value] = label
    return places


class _Reader:
    """Reads the functions of one section."""

    def __init__(
        self,
        image: ObjectImage,
        btf: Btf | None,
        ext: BtfExt,
        maps: Mapping[tuple[int, int], MapSpec],
        places: Mapping[tuple[int, int], str],
        section: Section,
        kconfig: tuple[KconfigVariable, ...],
    ) -> None:
        self._image = image
        self._btf = btf
        self._maps = maps
        self._places = places
        self._section = section
        self._relocations: dict[int, Relocation] = {}
        for relocation in image.relocations.get(section.index, ()):
            if relocation.offset % _SLOT or relocation.offset >= len(section.data):
                raise ObjectError(image.path, section.name, f"a relocation at byte {relocation.offset}")
            self._relocations[relocation.offset // _SLOT] = relocation
        self._types = {info.slot: info.type_id for info in ext.functions.get(section.name, ())}
        self._lines = sorted(ext.lines.get(section.name, ()))
        self._core = ext.relocations.get(section.name, ())
        self._kconfig = {variable.name: variable.offset for variable in kconfig}
        self._sources: dict[tuple[int, int, int, int], SourceLine] = {}

    def function(self, symbol: ObjectSymbol) -> Function:
        """The function that a symbol names."""
        section = self._section
        end = symbol.value + symbol.size
        if symbol.value % _SLOT or not symbol.size or end > len(section.data):
            raise ObjectError(self._image.path, symbol.name, f"lies outside of section {section.name}")
        try:
            code = decode(section.data[symbol.value : end])
        except AsmError as error:
            raise ObjectError(self._image.path, symbol.name, f"broken code: {error}") from error
        first, last = symbol.value // _SLOT, end // _SLOT
        label = self._places[section.index, symbol.value]
        calls: dict[str, None] = {}
        lines = [line for line in self._lines if first <= line.slot < last]
        starts = [line.slot for line in lines]
        instructions = []
        for offset, plain in zip(slot_offsets(code), code):
            linked = self._linked(plain, first + offset, symbol.name)
            if linked.target is not None:
                calls[linked.target] = None
            at = bisect_right(starts, first + offset) - 1
            instructions.append(linked.at(self._source(lines[at])) if at >= 0 else linked)
        instructions[0] = instructions[0].labelled(label)
        return Function(
            symbol.name,
            label,
            section.name,
            tuple(instructions),
            self._types.get(first, 0),
            tuple(line._replace(slot=line.slot - first) for line in lines),
            tuple(replace(each, slot=each.slot - first) for each in self._core if first <= each.slot < last),
            tuple(calls),
            symbol.hidden,
        )

    def _linked(self, ins: Instruction, slot: int, where: str) -> Instruction:
        """The instruction with a name for what its relocation, or its number, refers to."""
        relocation = self._relocations.get(slot)
        inside = ins.is_call and ins.src == CallKind.FUNCTION
        if relocation is None:
            if inside or (ins.is_wide and ins.src == WideKind.FUNCTION):
                place = self._section.index, _SLOT * (slot + 1 + ins.imm)
                return self._to_function(ins, place, where)
            return ins
        symbol = relocation.symbol
        if relocation.kind == RelocationKind.R_BPF_64_32 and ins.is_call:
            if symbol.section == 0:
                return replace(ins, src=CallKind.KFUNC, imm=0, offset=0, reference=KfuncReference(symbol.name))
            return self._to_function(ins, (symbol.section, symbol.value + _SLOT * (ins.imm + 1)), where)
        if relocation.kind == RelocationKind.R_BPF_64_64 and ins.is_wide:
            return self._wide(ins, symbol, where)
        raise ObjectError(self._image.path, where, f"relocation of kind {relocation.kind} for {ins}")

    def _wide(self, ins: Instruction, symbol: ObjectSymbol, where: str) -> Instruction:
        if symbol.section == 0 and symbol.name in self._kconfig:
            offset = self._kconfig[symbol.name] + ins.imm
            return replace(ins, src=WideKind.MAP_VALUE, imm=0, reference=MapValueReference(KCONFIG, offset))
        if symbol.section == 0:
            return replace(ins, src=WideKind.BTF_ID, imm=0, reference=KfuncReference(symbol.name))
        # for static variables and functions the symbol is that of the section, and the offset stands in the code
        low = ins.imm & 0xFFFFFFFF
        offset = symbol.value + (low - (1 << 32) if low >= 1 << 31 else low)
        data = self._maps.get((symbol.section, -1))
        if data is not None:
            if not 0 <= offset <= data.value_size:
                raise ObjectError(self._image.path, where, f"refers to byte {offset} of {data.name}")
            return replace(ins, src=WideKind.MAP_VALUE, imm=0, reference=MapValueReference(data.name, offset))
        found = self._maps.get((symbol.section, offset))
        if found is not None:
            return replace(ins, src=WideKind.MAP_FD, imm=0, reference=MapReference(found.name))
        return self._to_function(replace(ins, src=WideKind.FUNCTION), (symbol.section, offset), where)

    def _to_function(self, ins: Instruction, place: tuple[int, int], where: str) -> Instruction:
        label = self._places.get(place)
        if label is None:
            index, offset = place
            known = 0 < index < len(self._image.sections)
            section = self._image.sections[index].name if known else f"section {index}"
            raise ObjectError(self._image.path, where, f"refers to {section}+{offset}, where nothing begins")
        return replace(ins, imm=0, offset=0, target=label)

    def _source(self, line: LineInfo) -> SourceLine:
        key = (line.file_offset, line.text_offset, line.line, line.column)
        found = self._sources.get(key)
        if found is None:
            assert self._btf is not None
            found = SourceLine(
                self._btf.string(line.file_offset), line.line, line.column, self._btf.string(line.text_offset)
            )
            self._sources[key] = found
        return found

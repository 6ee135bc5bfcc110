"""A class of BPF programs as an object file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pybpf.asm import AsmError, KfuncReference, MapReference, MapValueReference
from pybpf.btf import BtfBuilder, FuncInfo, KernelBtf, LineInfo, SectionItem, add_type
from pybpf.hooks.base import Hook
from pybpf.maps import Map
from pybpf.objfile.errors import ObjectError
from pybpf.objfile.image import SymbolKind
from pybpf.objfile.write.code import Piece, machine_code, pieces, references
from pybpf.objfile.write.elf import ElfWriter
from pybpf.objfile.write.names import section_name
from pybpf.objfile.write.types import ext_section, kernel_functions, map_type, program_type, variable

if TYPE_CHECKING:
    import os

    from pybpf.asm import Instruction
    from pybpf.object import BpfObject
    from pybpf.program import ProgramSpec

_TEXT = ".text"
_MAPS = ".maps"


def write_object(blueprint: BpfObject, path: str | os.PathLike[str]) -> None:
    """Write the programs and maps of ``blueprint`` to ``path``, for ``bpftool prog load`` and other loaders.

    Raises:
        CompileError: a program is not in the language.
        ObjectError: something in it has no place in an object file.
        OSError: the file cannot be written.
    """
    Path(path).write_bytes(object_bytes(blueprint))


def object_bytes(blueprint: BpfObject) -> bytes:
    """The same, as bytes."""
    return _Writer(blueprint).to_bytes()


class _Writer:
    def __init__(self, blueprint: BpfObject) -> None:
        self._blueprint = blueprint
        self._name = type(blueprint).__name__
        self._elf = ElfWriter()
        self._btf = BtfBuilder()
        self._functions: dict[str, list[FuncInfo]] = {}
        self._lines: dict[str, list[LineInfo]] = {}
        self._specs = blueprint.compile()

    def to_bytes(self) -> bytes:
        wanted = {ref for spec in self._specs.values() for ref in references(spec.instructions)}
        in_place = sorted({ref.name for ref in wanted if isinstance(ref, MapValueReference)})
        by_fd = {ref.name for ref in wanted if isinstance(ref, MapReference)}
        both = sorted(by_fd & set(in_place))
        if both:
            raise self._refused(both[0], "is looked up and also used in place; object files have no way to say both")
        declared = {name: each for name, each in _members(self._blueprint, Map).items() if name not in in_place}
        self._write_maps(declared)
        for name in in_place:
            self._write_variables(name)
        kfuncs = sorted({ref.name for ref in wanted if isinstance(ref, KfuncReference)})
        for name in kfuncs:
            self._elf.symbol(name, SymbolKind.NOTYPE)
        if kfuncs:
            kernel_functions(self._btf, KernelBtf.load(), kfuncs)
        self._elf.code(_TEXT)
        self._elf.symbol("", SymbolKind.SECTION, _TEXT, local=True, key=_TEXT)
        for name, spec in self._specs.items():
            self._write_program(name, spec)
        licenses = {spec.license for spec in self._specs.values()}
        if len(licenses) > 1:
            raise self._refused("license", f"an object has one, not {' and '.join(sorted(licenses))}")
        self._elf.data("license", align=1).append((licenses or {"GPL"}).pop().encode() + b"\0")
        ext = ext_section(self._btf, self._functions, self._lines)
        self._elf.section(".BTF", align=4).append(self._btf.to_bytes())
        self._elf.section(".BTF.ext", align=4).append(ext)
        return self._elf.to_bytes()

    def _write_maps(self, declared: dict[str, Map]) -> None:
        if not declared:
            return
        section = self._elf.data(_MAPS)
        items = []
        for name, each in declared.items():
            inner = getattr(each, "inner", None)
            of, size = map_type(self._btf, each, inner if isinstance(inner, Map) else None)
            at = section.append(bytes(size))
            self._elf.symbol(name, SymbolKind.OBJECT, _MAPS, at, size)
            items.append(SectionItem(variable(self._btf, name, of), at, size))
        self._btf.datasec(_MAPS, len(section.data), items)

    def _write_variables(self, name: str) -> None:
        """A map used in place is a section of one variable: all that object files know of the kind."""
        found = self._blueprint.attribute(name)
        if not isinstance(found, Map) or found.value is None or found.max_entries != 1:
            raise self._refused(name, "only an array of one element can be used in place")
        section = f".data.{name}"
        self._elf.data(section).append(bytes(found.value_size))
        self._elf.symbol(name, SymbolKind.OBJECT, section, 0, found.value_size)
        of = variable(self._btf, name, add_type(self._btf, found.value))
        self._btf.datasec(section, found.value_size, [SectionItem(of, 0, found.value_size)])

    def _write_program(self, name: str, spec: ProgramSpec) -> None:
        hook = self._blueprint.attribute(name.partition(":")[0])
        kind = section_name(hook, spec) if isinstance(hook, Hook) else None
        if kind is None:
            raise self._refused(name, f"no section is known for {spec.type.name} programs like this one")
        unique = spec.name if sum(spec.name == each.name for each in self._specs.values()) == 1 else _identifier(name)
        parts = pieces(spec.instructions)
        places: dict[int, int] = {}
        at = len(self._elf.code(_TEXT).data)
        for piece in parts[1:]:
            places[piece.start] = at
            at += 8 * sum(ins.slots for ins in piece.instructions)
        try:
            for piece in parts:
                self._write_function(unique, piece, kind if piece.start == 0 else _TEXT, places)
        except AsmError as error:
            raise self._refused(name, str(error)) from error

    def _write_function(self, program: str, piece: Piece, section: str, places: dict[int, int]) -> None:
        entry = piece.start == 0
        labels = piece.instructions[0].labels
        own = labels[0] if labels and labels[0].isidentifier() else f"{program}_{piece.start}"
        name = program if entry else own
        code, fixups = machine_code(piece, places)
        output = self._elf.code(section)
        at = output.append(code)
        key = f"{program}+{piece.start}"
        self._elf.symbol(name, SymbolKind.FUNC, section, at, len(code), local=not entry, key=key)
        for fixup in fixups:
            output.relocate(at + fixup.offset, fixup.kind, fixup.reference.name if fixup.reference else _TEXT)
        func = FuncInfo(at // 8, program_type(self._btf, name, entry=entry))
        self._functions.setdefault(section, []).append(func)
        self._lines.setdefault(section, []).extend(self._lines_of(piece.instructions, at // 8))

    def _lines_of(self, instructions: tuple[Instruction, ...], slot: int) -> list[LineInfo]:
        """One record wherever the source line changes; each function begins with one."""
        lines: list[LineInfo] = []
        line = next((ins.source for ins in instructions if ins.source is not None), None)
        written = None
        for ins in instructions:
            line = ins.source or line
            if line is not None and line != written:
                file, text = self._btf.string(line.file), self._btf.string(line.text)
                lines.append(LineInfo(slot, file, text, line.line, line.column))
                written = line
            slot += ins.slots
        return lines

    def _refused(self, where: str, reason: str) -> ObjectError:
        return ObjectError(self._name, where, reason)


def _members(blueprint: BpfObject, kind: type[Map]) -> dict[str, Map]:
    """The declarations of a class and its bases, the bases' first."""
    found: dict[str, Map] = {}
    for cls in reversed(type(blueprint).__mro__):
        found.update({name: value for name, value in vars(cls).items() if isinstance(value, kind)})
    return found


def _identifier(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)

"""Objects that this toolkit writes, as other readers of ELF and as our own reader see them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pybpf.asm import MapReference, MapValueReference, WideKind
from pybpf.btf import Btf, Kind
from pybpf.kernel.constants import MapType
from pybpf.maps import Array
from pybpf.object import BpfObject
from pybpf.objfile import ObjectError, ObjectFile
from pybpf.objfile.write import object_bytes, write_object
from pybpf.types import u64
from tests.support.written import Functions, Packets, Probes


def elf_of(blueprint: BpfObject) -> ELFFile:
    return ELFFile(io.BytesIO(object_bytes(blueprint)))


def test_the_file_is_a_relocatable_ebpf_object() -> None:
    elf = elf_of(Packets())
    assert (elf["e_machine"], elf["e_type"]) == ("EM_BPF", "ET_REL")
    names = [section.name for section in elf.iter_sections()]
    for name in ("socket", ".maps", "license", ".BTF", ".BTF.ext", ".symtab", ".strtab", ".relsocket"):
        assert name in names
    assert elf.get_section_by_name("license").data() == b"GPL\0"


def test_programs_and_maps_are_global_symbols_within_their_sections() -> None:
    elf = elf_of(Packets())
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    found = {symbol.name: symbol for symbol in table.iter_symbols() if symbol.name}
    assert set(found) == {"count", "first", "counts", "flows", "ring", "perf", "nested"}
    for name, kind in (("count", "STT_FUNC"), ("first", "STT_FUNC"), ("flows", "STT_OBJECT")):
        assert found[name]["st_info"]["type"] == kind
        assert found[name]["st_info"]["bind"] == "STB_GLOBAL"
    section = elf.get_section(found["first"]["st_shndx"])
    assert section.name == "socket"
    assert found["first"]["st_value"] == found["count"]["st_size"]
    assert found["first"]["st_value"] + found["first"]["st_size"] == section["sh_size"]


def test_each_hook_has_the_section_that_libbpf_knows() -> None:
    programs = ObjectFile(object_bytes(Probes())).programs
    assert {name: program.section for name, program in programs.items()} == {
        "entered": "kprobe",
        "called": "uprobe",
        "returned": "uretprobe",
        "traced": "tracepoint",
    }


def test_our_reader_gets_the_maps_back() -> None:
    maps = ObjectFile(object_bytes(Packets())).maps
    assert {n: (m.type, m.key_size, m.value_size, m.max_entries) for n, m in maps.items()} == {
        "counts": (MapType.ARRAY, 4, 8, 256),
        "flows": (MapType.HASH, 4, 16, 16),
        "ring": (MapType.RINGBUF, 0, 0, 4096),
        "perf": (MapType.PERF_EVENT_ARRAY, 4, 4, 0),
        "nested": (MapType.HASH_OF_MAPS, 4, 4, 8),
    }
    assert [(f.name, f.offset) for f in maps["flows"].value.FIELDS] == [("source", 0), ("port", 4), ("name", 6)]  # type: ignore[union-attr]
    inner = maps["nested"].inner
    assert inner is not None
    assert (inner.type, inner.value_size, inner.max_entries) == (MapType.ARRAY, 8, 4)


def test_our_reader_gets_the_instructions_and_their_lines_back() -> None:
    blueprint = Packets()
    written = blueprint.compile()["count"].instructions
    read = ObjectFile(object_bytes(blueprint)).programs["count"].instructions
    assert [(i.opcode, i.dst, i.offset, i.reference) for i in read] == [
        (i.opcode, i.dst, i.offset, i.reference) for i in written
    ]
    first = next(ins.source for ins in written if ins.source)
    assert read[0].source == first
    assert Path(first.file).name == "written.py"


def test_functions_are_cut_out_and_relocated() -> None:
    program = ObjectFile(object_bytes(Functions())).programs["main"]
    assert [(f.name, f.section, f.slots) for f in program.functions] == [
        ("main", "socket", 13),
        ("step", ".text", 2),
        ("twice", ".text", 4),
    ]
    assert [ins.target for ins in program.instructions if ins.target] == ["step", "twice"]
    assert [ins.wide_kind for ins in program.instructions if ins.is_wide] == [WideKind.FUNCTION, WideKind.MAP_VALUE]
    assert MapValueReference(".data.total", 0) in {ins.reference for ins in program.instructions}


def test_the_btf_names_maps_functions_and_their_types() -> None:
    data = elf_of(Packets()).get_section_by_name(".BTF").data()
    btf = Btf(data)
    for name, kind in (
        ("Flow", Kind.STRUCT),
        ("flows", Kind.VAR),
        (".maps", Kind.DATASEC),
        ("count", Kind.FUNC),
        ("first", Kind.FUNC),
    ):
        assert btf.find(name, kind)


def test_a_map_used_in_both_ways_is_refused() -> None:
    class Both(Functions):
        total = Array(value=u64, max_entries=1)

        def compile(self):  # type: ignore[no-untyped-def]
            from dataclasses import replace

            spec = super().compile()["main"]
            load = next(i for i, ins in enumerate(spec.instructions) if ins.reference)
            changed = list(spec.instructions)
            changed.insert(load, replace(changed[load], src=WideKind.MAP_FD, reference=MapReference("total")))
            return {"main": replace(spec, instructions=tuple(changed))}

    with pytest.raises(ObjectError, match="total: is looked up and also used in place"):
        object_bytes(Both())


def test_the_file_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    write_object(Packets(), tmp_path / "packets.bpf.o")
    assert list(ObjectFile.open(tmp_path / "packets.bpf.o").programs) == ["count", "first"]

"""What an object says before it is loaded: its maps, variables, programs; no kernel is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pybpf.asm import CallKind, KfuncReference, MapReference, MapValueReference, WideKind
from pybpf.kernel.constants import AttachType, MapFlag, MapType, ProgramType
from pybpf.objfile import ObjectFile
from pybpf.types import Struct
from tests.support.objects.build import HERE


def opened(name: str) -> ObjectFile:
    return ObjectFile.open(HERE / f"{name}.bpf.o")


def test_maps_declared_in_btf_have_their_kinds_sizes_and_types() -> None:
    flows = opened("packets").maps["flows"]
    assert (flows.type, flows.key_size, flows.value_size, flows.max_entries) == (MapType.HASH, 4, 16, 64)
    assert str(flows.key) == "u32"
    assert isinstance(flows.value, type)
    assert issubclass(flows.value, Struct)
    assert [(f.name, repr(f.type), f.offset) for f in flows.value.FIELDS] == [
        ("source", "u32", 0),
        ("port", "u16", 4),
        ("kind", "u8", 6),
        ("seen", "bool", 7),
        ("name", "bytes[8]", 8),
    ]
    events = opened("packets").maps["events"]
    assert (events.type, events.max_entries) == (MapType.RINGBUF, 4096)


def test_legacy_maps_have_the_numbers_of_their_definitions() -> None:
    maps = opened("legacy").maps
    assert {name: (m.type, m.key_size, m.value_size, m.max_entries, int(m.flags)) for name, m in maps.items()} == {
        "counts": (MapType.ARRAY, 4, 8, 4, 0),
        "table": (MapType.HASH, 4, 8, 16, 1),
    }


def test_sections_of_variables_are_maps_and_constants_are_frozen() -> None:
    maps = opened("packets").maps
    assert maps[".rodata"].frozen
    assert maps[".rodata"].flags & MapFlag.RDONLY_PROG
    assert not maps[".data"].frozen
    assert maps[".bss"].contents == bytes(24)
    assert maps[".data"].contents == (5).to_bytes(8, "little")


def test_variables_have_the_types_and_values_of_the_source() -> None:
    variables = opened("packets").variables
    assert variables["threshold"] == 10
    assert variables["prefix"] == b"abc\0\0\0\0\0"
    assert variables["total"] == 5
    assert variables["small_ones"] == 0
    assert variables["last"].port == 0
    variables["threshold"] = 77
    assert variables["threshold"] == 77
    with pytest.raises(KeyError):
        variables["no_such"] = 1
    with pytest.raises(OverflowError):
        variables["threshold"] = 1 << 32


def test_one_section_may_hold_several_programs() -> None:
    programs = opened("packets").programs
    assert [(p.name, p.section, p.type) for p in programs.values()] == [
        ("count", "socket", ProgramType.SOCKET_FILTER),
        ("ports", "socket", ProgramType.SOCKET_FILTER),
    ]
    assert [p.hook.optional for p in programs.values()] == [False, False]
    assert [p.hook.optional for p in opened("faulty").programs.values()] == [True] * 5


def test_called_functions_are_linked_once_in_the_order_of_the_calls() -> None:
    programs = opened("packets").programs
    assert [f.name for f in programs["count"].functions] == ["count", "weigh", "twice"]
    assert [f.name for f in programs["ports"].functions] == ["ports", "visit"]
    callback = [ins for ins in programs["ports"].instructions if ins.wide_kind is WideKind.FUNCTION]
    assert [ins.target for ins in callback] == ["visit"]


def test_references_to_maps_and_variables_are_names() -> None:
    references = {ins.reference for ins in opened("packets").programs["count"].instructions}
    assert MapReference("flows") in references
    assert MapReference("events") in references
    assert MapValueReference(".rodata", 0) in references
    assert MapValueReference(".bss", 8) in references


def test_kernel_functions_are_references_by_name() -> None:
    calls = [ins for ins in opened("core").programs["typed"].instructions if ins.call_kind is CallKind.KFUNC]
    assert [ins.reference for ins in calls] == [
        KfuncReference("bpf_rcu_read_lock"),
        KfuncReference("bpf_rcu_read_unlock"),
    ]


def test_instructions_know_their_line_of_c() -> None:
    first = opened("packets").programs["count"].instructions[0].source
    assert first is not None
    source = (HERE / "packets.bpf.c").read_text().splitlines()
    assert Path(first.file).name == "packets.bpf.c"
    assert source[first.line - 1].strip() == first.text.strip() == "__u32 key = skb->len;"


def test_an_object_prints_what_is_in_it() -> None:
    text = str(opened("packets"))
    for part in ("license GPL", "map flows: HASH", "variable threshold: u32", "program count: socket, SOCKET_FILTER"):
        assert part in text
    assert "call weigh" in str(opened("packets").programs["count"])


def test_specs_are_rewritten_by_replacing_them() -> None:
    file = opened("packets")
    file.maps["flows"] = replace(file.maps["flows"], type=MapType.LRU_HASH).resized(8)
    assert str(file.maps["flows"]).startswith("flows: LRU_HASH, 4 B key, 16 B value, 8 entries")


@pytest.mark.parametrize(
    ("section", "kind", "program_type", "attach_type", "target", "sleepable"),
    [
        ("socket", "socket", ProgramType.SOCKET_FILTER, AttachType.NONE, "", False),
        ("kprobe/do_unlinkat", "kprobe", ProgramType.KPROBE, AttachType.NONE, "do_unlinkat", False),
        ("uprobe.s//bin/sh:main", "uprobe", ProgramType.KPROBE, AttachType.NONE, "/bin/sh:main", True),
        ("uprobe.multi//a/b:f", "uprobe.multi", ProgramType.KPROBE, AttachType.TRACE_UPROBE_MULTI, "/a/b:f", False),
        ("kprobe.session/f*", "kprobe.session", ProgramType.KPROBE, AttachType.TRACE_KPROBE_SESSION, "f*", False),
        ("tp/sched/sched_switch", "tp", ProgramType.TRACEPOINT, AttachType.NONE, "sched/sched_switch", False),
        ("raw_tp.w/x", "raw_tp.w", ProgramType.RAW_TRACEPOINT_WRITABLE, AttachType.NONE, "x", False),
        ("fentry.s/vfs_read", "fentry", ProgramType.TRACING, AttachType.TRACE_FENTRY, "vfs_read", True),
        ("lsm/file_open", "lsm", ProgramType.LSM, AttachType.LSM_MAC, "file_open", False),
        ("syscall", "syscall", ProgramType.SYSCALL, AttachType.NONE, "", True),
        ("tc", "tc", ProgramType.SCHED_CLS, AttachType.NONE, "", False),
        ("tcx/egress", "tcx/egress", ProgramType.SCHED_CLS, AttachType.TCX_EGRESS, "", False),
        ("xdp/cpumap", "xdp/cpumap", ProgramType.XDP, AttachType.XDP_CPUMAP, "", False),
        (
            "cgroup/connect6",
            "cgroup/connect6",
            ProgramType.CGROUP_SOCK_ADDR,
            AttachType.CGROUP_INET6_CONNECT,
            "",
            False,
        ),
    ],
)
def test_a_section_name_says_type_attach_type_and_target(
    section: str, kind: str, program_type: ProgramType, attach_type: AttachType, target: str, sleepable: bool
) -> None:
    from pybpf.objfile import hook_of

    hook = hook_of(section)
    assert hook is not None
    assert (hook.kind, hook.type, hook.attach_type, hook.target, hook.sleepable) == (
        kind,
        program_type,
        attach_type,
        target,
        sleepable,
    )


def test_an_unknown_section_name_says_nothing() -> None:
    from pybpf.objfile import hook_of

    assert hook_of("surprise/me") is None
    xdp = hook_of("?xdp.frags")
    assert xdp is not None
    assert xdp.fragments
    assert xdp.optional

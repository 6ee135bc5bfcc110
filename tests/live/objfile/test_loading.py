"""Objects of clang in the kernel; libbpf, through bpftool, is the judge of what they should become."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from pybpf.errors import KernelError
from pybpf.kernel.info import program_info
from pybpf.objfile import ObjectError, ObjectFile
from pybpf.objfile.kconfig import running_config
from pybpf.verifier import VerifierError
from tests.support.objects.build import HERE, SOURCES, build, object_of
from tests.support.pins import pin_folder

PACKET = bytes(12) + b"\x08\x00" + bytes(46)


def opened(name: str) -> ObjectFile:
    return ObjectFile.open(HERE / f"{name}.bpf.o")


def test_programs_run_with_maps_variables_and_linked_functions() -> None:
    file = opened("packets")
    file.variables["threshold"] = 50
    with file.load() as live:
        first = live.programs["count"].test_run(PACKET)
        assert first.return_value == 1
        assert live.variables["total"] == 5 + 2 * 46 + 1 - 1
        assert live.variables["small_ones"] == 1
        flow = live.maps["flows"][46]  # type: ignore[index]
        assert (flow.source, flow.port, flow.kind, flow.seen, flow.name) == (46, 7, 1, True, b"abc\0\0\0\0\0")
        assert live.programs["ports"].test_run(PACKET).return_value == 7


def test_a_constant_set_before_the_load_decides_in_the_program() -> None:
    for threshold, weight in ((45, 2), (46, 1)):
        file = opened("packets")
        file.variables["threshold"] = threshold
        with file.load(programs=["count"]) as live:
            assert live.programs["count"].test_run(PACKET).return_value == weight


def test_live_variables_are_the_memory_of_the_programs_and_constants_are_not_writable() -> None:
    with opened("packets").load() as live:
        live.variables["total"] = 1000
        live.programs["count"].test_run(PACKET)
        assert live.variables["total"] == 1000 + 2 * 46
        with pytest.raises(ObjectError, match="constant"):
            live.variables["threshold"] = 1


def test_a_map_takes_its_size_from_the_load() -> None:
    with opened("packets").load(max_entries={"flows": 2}) as live:
        assert live.maps["flows"].info().max_entries == 2
    with pytest.raises(ObjectError, match="no such map"):
        opened("packets").load(max_entries={"flies": 2})


def test_legacy_maps_work() -> None:
    with opened("legacy").load() as live:
        assert live.programs["count"].test_run(PACKET).return_value == 3
        assert dict(live.maps["counts"].items()) == {0: 0, 1: 1, 2: 0, 3: 0}  # type: ignore[attr-defined]


def test_a_rejected_program_names_the_line_of_c() -> None:
    with pytest.raises(VerifierError) as caught:
        opened("faulty").load(programs=["faulty"])
    assert caught.value.source is not None
    lines = (HERE / "faulty.bpf.c").read_text().splitlines()
    assert lines[caught.value.source.line - 1].strip() == "return found->port;"
    assert "faulty.bpf.c" in str(caught.value)
    assert caught.value.advice


@pytest.mark.needs("btf")
def test_a_field_that_the_kernel_does_not_have_is_named() -> None:
    with pytest.raises(VerifierError, match=r"FIELD_BYTE_OFFSET of task_struct\.no_such_field") as caught:
        opened("faulty").load(programs=["reads_missing"])
    assert caught.value.source is not None
    assert caught.value.source.file.endswith("faulty.bpf.c")


@pytest.mark.needs("btf")
def test_a_weak_kernel_function_may_be_missing_and_another_is_named() -> None:
    with opened("faulty").load(programs=["guarded"]) as live:
        assert list(live.programs) == ["guarded"]
    with pytest.raises(ObjectError, match="bpf_no_such_function_either: this kernel has no such function"):
        opened("faulty").load(programs=["unguarded"])
    with pytest.raises(ObjectError, match="this kernel has no tracepoint no_such_tracepoint"):
        opened("faulty").load(programs=["nowhere"])


@pytest.mark.needs("btf")
def test_relocated_programs_read_the_running_task() -> None:
    with opened("core").load() as live:
        for name in ("relocated", "typed"):
            live.variables["seen_pid"] = 0
            with live.programs[name].attach():
                for _ in range(1000):
                    os.getppid()
                    ids = live.variables["ids"]
                    if ids >> 32 == os.getpid() and live.variables["seen_leader"] == os.getpid():
                        break
                else:
                    pytest.fail(f"{name} never saw this process")
            assert live.variables["seen_pid"]


@pytest.mark.needs("btf")
def test_existence_is_answered_by_this_kernels_types() -> None:
    with opened("core").load(programs=["relocated"]) as live:
        with live.programs["relocated"].attach():
            os.getppid()
        facts = live.variables["facts"]
    assert (facts.exists, facts.missing) == (1, 0)
    assert (facts.type_exists, facts.type_missing) == (1, 0)
    assert (facts.enum_value, facts.enum_exists, facts.enum_missing) == (2, 1, 0)  # BPF_MAP_TYPE_ARRAY
    assert (facts.pid_signed, facts.comm_size) == (1, 16)
    assert facts.tgid_flavoured == facts.pid_offset + 4


@pytest.mark.needs("bpftool", "btf")
@pytest.mark.parametrize("name", ["packets", "core", "nested"])
def test_programs_are_those_that_libbpf_loads(name: str) -> None:
    """The kernel's tag is a hash of the instructions, descriptors of maps left out."""
    with pin_folder() as pins, pin_folder() as ours:
        theirs = libbpf_tags(name, pins)
        with opened(name).load(pins=ours) as live:
            assert {p.name: program_info(p.fd).tag for p in live.programs.values()} == theirs


def libbpf_tags(name: str, pins: Path) -> dict[str, str]:
    command = ["bpftool", "prog", "loadall", str(HERE / f"{name}.bpf.o"), str(pins)]
    done = subprocess.run(command, capture_output=True, text=True)
    Path("/sys/fs/bpf/pybpf_test_queue").unlink(missing_ok=True)  # libbpf pins this map there
    assert done.returncode == 0, done.stderr
    theirs = {}
    for path in pins.iterdir():
        shown = subprocess.run(
            ["bpftool", "-j", "prog", "show", "pinned", str(path)], check=True, capture_output=True, text=True
        )
        theirs[path.name] = json.loads(shown.stdout)["tag"]
    return theirs


@pytest.mark.needs("bpftool", "btf")
def test_bpftool_prints_the_source_and_the_fields_of_a_map() -> None:
    with opened("packets").load() as live:
        live.programs["count"].test_run(PACKET)
        program = program_info(live.programs["count"].fd).id
        dump = subprocess.run(
            ["bpftool", "prog", "dump", "xlated", "id", str(program), "linum"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert "total += twice(key); [file:./packets.bpf.c" in dump
        number = live.maps["flows"].info().id
        shown = subprocess.run(
            ["bpftool", "map", "dump", "id", str(number)], check=True, capture_output=True, text=True
        )
    assert '"port": 7' in shown.stdout


@pytest.mark.needs("clang")
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_committed_objects_are_what_their_sources_compile_to(source: Path, tmp_path: Path) -> None:
    """Compilers differ in code, not in what the source declares."""
    target = tmp_path / "new.o"
    try:
        build(source, target)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"this clang cannot build them: {error}")
    new, old = ObjectFile.open(target), ObjectFile.open(object_of(source))
    assert list(new.programs) == list(old.programs)
    assert {n: str(m) for n, m in new.maps.items()} == {n: str(m) for n, m in old.maps.items()}
    assert set(new.variables) == set(old.variables)


def test_a_failed_load_leaves_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises((VerifierError, KernelError)):
        opened("faulty").load(programs=["faulty"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_maps_of_maps_and_of_programs_hold_what_their_declarations_say() -> None:
    with pin_folder() as pins, opened("nested").load(pins=pins) as live:
        assert live.programs["walk"].test_run(PACKET).return_value == 77
        assert dict(live.maps["second"].items()) == {0: 5, 1: 0}  # type: ignore[attr-defined]
        assert dict(live.maps["first"].items()) == {0: 0, 1: 0}  # type: ignore[attr-defined]
        assert list(live.maps["outer"].keys()) == [0, 2]  # type: ignore[attr-defined]
        assert live.maps["pybpf_test_queue"].pop() == 2  # type: ignore[attr-defined]
        assert 2 in live.maps["bloom"]  # type: ignore[operator]


def test_a_map_pinned_by_name_is_shared_by_all_who_load_it() -> None:
    with pin_folder() as pins:
        with opened("nested").load(pins=pins) as first:
            first.programs["walk"].test_run(PACKET)
        assert [path.name for path in pins.iterdir()] == ["pybpf_test_queue"]
        with opened("nested").load(pins=pins) as second:
            assert second.maps["pybpf_test_queue"].pop() == 2  # type: ignore[attr-defined]


@pytest.mark.needs("btf")
def test_the_kernels_configuration_is_known_to_programs() -> None:
    config = running_config()
    if "CONFIG_HZ" not in config:
        pytest.skip("needs the kernel's configuration: /proc/config.gz")
    with opened("core").load(programs=["relocated"]) as live:
        with live.programs["relocated"].attach():
            os.getppid()
        facts = live.variables["facts"]
    assert (facts.hz, facts.has_bpf, facts.no_such_option) == (int(config["CONFIG_HZ"]), 1, 0)
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    assert facts.kernel_version >> 8 == major << 8 | minor


@pytest.mark.needs("btf")
def test_a_symbol_without_a_type_is_its_address() -> None:
    with opened("core").load(programs=["relocated"]) as live:
        with live.programs["relocated"].attach():
            os.getppid()
        address = live.variables["facts"].address
    assert f"{address:016x} T schedule\n" in Path("/proc/kallsyms").read_text()

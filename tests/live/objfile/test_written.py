"""Objects that this toolkit writes, loaded by bpftool (libbpf) and by itself: the same programs as loaded directly."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pybpf.kernel import features
from pybpf.kernel.info import program_info
from pybpf.object import BpfObject
from pybpf.objfile import ObjectFile
from pybpf.objfile.write import write_object
from tests.support.pins import pin_folder
from tests.support.written import Functions, Packets, Probes, Session

PACKET = bytes(60)


def bpftool(*words: str) -> Any:
    done = subprocess.run(["bpftool", "-j", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.mark.needs("bpftool")
@pytest.mark.parametrize("blueprint", [Packets(), Probes(), Functions()], ids=lambda each: type(each).__name__)
def test_bpftool_loads_what_is_written(blueprint: BpfObject, tmp_path: Path) -> None:
    path = tmp_path / "written.bpf.o"
    write_object(blueprint, path)
    with pin_folder() as pins, ObjectFile.open(path).load() as live:
        subprocess.run(["bpftool", "prog", "loadall", str(path), str(pins)], check=True, capture_output=True)
        theirs = {pin.name: bpftool("prog", "show", "pinned", str(pin))["tag"] for pin in pins.iterdir()}
        assert theirs == {program.name: program_info(program.fd).tag for program in live.programs.values()}


@pytest.mark.needs("bpftool")
def test_bpftool_prints_python_lines_and_names_of_fields(tmp_path: Path) -> None:
    path = tmp_path / "packets.bpf.o"
    write_object(Packets(), path)
    with pin_folder() as pins:
        subprocess.run(["bpftool", "prog", "load", str(path), str(pins / "count")], check=True, capture_output=True)
        text = subprocess.run(
            ["bpftool", "prog", "dump", "xlated", "pinned", str(pins / "count"), "linum"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    assert "self.counts[ctx.u8(9)] += 1 [file:" in text
    assert "written.py" in text


def test_a_program_written_and_read_is_the_program_loaded_directly(tmp_path: Path) -> None:
    path = tmp_path / "packets.bpf.o"
    write_object(Packets(), path)
    with Packets().load() as direct, ObjectFile.open(path).load() as read:
        for name, hook in (("count", direct.count), ("first", direct.first)):
            assert program_info(read.programs[name].fd).tag == program_info(hook.fd).tag
        assert read.programs["count"].test_run(PACKET).return_value == 7
        assert read.maps["counts"][0] == 1  # type: ignore[index]


def test_functions_callbacks_and_variables_work_after_the_way_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "functions.bpf.o"
    write_object(Functions(), path)
    with ObjectFile.open(path).load() as live:
        assert live.programs["main"].test_run(PACKET).return_value == 43
        assert live.variables["total"] == 43


@pytest.mark.needs("btf")
def test_kernel_functions_are_found_again(tmp_path: Path) -> None:
    if not features.have(features.UPROBE_SESSION):
        pytest.skip("needs uprobe sessions (6.13)")
    path = tmp_path / "session.bpf.o"
    write_object(Session(), path)
    with Session().load() as direct, ObjectFile.open(path).load() as live:
        variant = next(iter(direct.both._fds.values()))
        assert program_info(live.programs["both"].fd).tag == program_info(variant).tag

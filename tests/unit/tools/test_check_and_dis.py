"""``python -m pybpf check`` and ``dis`` on files of programs: nothing is loaded, nothing but definitions runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybpf.tools.app import main

COUNTER = '''\
"""A script that would attach its program at once."""

from __future__ import annotations

import sys

from pybpf.hooks import socket_filter
from pybpf.lang import Constant, SkBuff, Struct, ktime_get_ns, u32, u64
from pybpf.maps import Array, RingBuffer
from pybpf.object import BpfObject


class Stamp(Struct):
    when: u64


class Counter(BpfObject):
    counts = Array(value=u64, max_entries=256)
    times = RingBuffer(4096)
    first = Constant(u32, default=3)

    @socket_filter
    def count(self, ctx: SkBuff) -> int:
        self.counts[ctx.u8(9)] += self.first
        return 0

    @socket_filter
    def stamp(self, ctx: SkBuff) -> int:
        self.times.output(Stamp(when=ktime_get_ns()))
        return 0


print("this is never printed")
opened = open("/nowhere")
with open("/nowhere") as never:
    sys.exit(9)
'''


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    return path


def test_a_check_says_what_each_program_needs(counter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(counter)]) == 0
    out = capsys.readouterr().out
    assert "never printed" not in out
    assert "Counter: Linux 5.8 or newer" in out
    assert "stack             8 of 512 bytes" in out
    assert "5.8 (ringbuf map times, bpf_ringbuf_output)" in out


def test_a_check_in_json(counter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", str(counter)]) == 0
    (report,) = json.loads(capsys.readouterr().out)["objects"]
    count, stamp = report["programs"]
    assert (count["name"], count["type"], count["license"]) == ("count", "socket_filter", "GPL")
    assert (count["maps"], count["helpers"]) == (["counts"], ["bpf_map_lookup_elem"])
    assert (count["minimum_kernel"], stamp["minimum_kernel"], report["minimum_kernel"]) == ("3.19", "5.8", "5.8")
    assert stamp["helpers"] == ["bpf_ktime_get_ns", "bpf_ringbuf_output"]
    assert {"since": "4.1", "what": "bpf_ktime_get_ns"} in stamp["because"]


def test_a_check_against_the_oldest_kernel_one_has(counter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(counter), "--kernel", "5.8"]) == 0
    assert main(["check", str(counter), "--kernel", "5.10"]) == 0
    capsys.readouterr()
    assert main(["check", str(counter), "--kernel", "5.7"]) == 1
    assert "Counter needs Linux 5.8, newer than 5.7" in capsys.readouterr().out


def test_constants_are_set_from_the_command_line(counter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dis", str(counter), "--program", "count", "--set", "first=0x11"]) == 0
    assert "= 17" in capsys.readouterr().out
    assert main(["check", str(counter), "--set", "first=-1"]) == 1
    assert "give it with --set NAME=VALUE" in capsys.readouterr().out
    assert main(["dis", str(counter), "--set", "first=-1"]) == 1
    assert "give it with --set NAME=VALUE" in capsys.readouterr().err


def test_a_program_that_does_not_compile_fails_by_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.py"
    path.write_text(COUNTER.replace("+= self.first", "+= 1.5"))
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "does not compile" in out
    assert "broken.py" in out


def test_what_cannot_be_executed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "late.py"
    path.write_text(COUNTER.replace("opened = open", "opened = 1 / 0  # "))
    assert main(["check", str(path)]) == 0
    assert "not executed from there on: line 34: ZeroDivisionError" in capsys.readouterr().out
    path.write_text("import nothing_of_this_name\n")
    assert main(["check", str(path)]) == 1
    assert "late.py:1: ModuleNotFoundError" in capsys.readouterr().err
    path.write_text("class (:\n")
    assert main(["check", str(path)]) == 1
    assert "this is no Python" in capsys.readouterr().err
    path.write_text("x = 1\n")
    assert main(["check", str(path)]) == 1
    assert "no BpfObject with programs in it" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "none.py")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_classes_made_by_a_function_are_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = COUNTER.partition("class Counter")[2].partition("print(")[0].replace("max_entries=256", "max_entries=size")
    head = COUNTER.partition("class Counter")[0]
    inner = "\n".join("    " + line for line in ("class Counter" + body).splitlines())
    path = tmp_path / "made.py"
    path.write_text(f"{head}def make(size):\n{inner}\n    return Counter\n\n\nSmall, Large = make(8), make(64)\n")
    assert main(["check", "--json", str(path)]) == 0
    assert len(json.loads(capsys.readouterr().out)["objects"]) == 2


def test_a_listing_stands_under_its_python_lines(counter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dis", str(counter)]) == 0
    out = capsys.readouterr().out
    assert "Counter.count:\n" in out
    assert "Counter.stamp:\n" in out
    assert "; self.counts[ctx.u8(9)] += self.first @ " in out
    assert main(["dis", str(counter), "--program", "none"]) == 1


def test_a_listing_of_hex(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dis", "b700000007000000 9500000000000000"]) == 0
    assert capsys.readouterr().out == "   0: (b7) r0 = 7\n   1: (95) exit\n"
    assert main(["dis", "--json", "9500000000000000"]) == 0
    (program,) = json.loads(capsys.readouterr().out)
    assert program["instructions"] == [{"slot": 0, "opcode": 0x95, "text": "exit", "source": None}]


@pytest.mark.parametrize(
    ("what", "words"),
    [("95x", "neither a file"), ("ff00000000000000", "code 0xff"), ("9500000000000000b7", "18 hex")],
)
def test_what_is_no_program_fails(what: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dis", what]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["check", "dis", "features", "maps", "progs", "links"])
def test_every_command_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"-m pybpf {name}" in capsys.readouterr().out.partition("example:")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["none"],
        ["check"],
        ["check", "x.py", "--set", "x"],
        ["progs", "--watch", "0"],
        ["check", "x.py", "--kernel", "new"],
    ],
)
def test_a_wrong_command_line_is_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2

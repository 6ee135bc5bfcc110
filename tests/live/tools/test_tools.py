"""``python -m pybpf`` on the running kernel."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybpf.hooks import socket_filter
from pybpf.kernel import features
from pybpf.kernel.info import program_info
from pybpf.kernel.link_ops import raw_tracepoint_open
from pybpf.kernel.prog_ops import ProgramType, prog_load
from pybpf.lang import SkBuff
from pybpf.maps import Array
from pybpf.object import BpfObject
from pybpf.tools.app import main
from pybpf.tools.progs import watch
from pybpf.types import u64
from tests.support.tiny_programs import PACKET, return_value

ROOT = Path(__file__).parents[3]


class Seen(BpfObject):
    seen_by_tools = Array(value=u64, max_entries=2)

    @socket_filter
    def count_for_tool(self, ctx: SkBuff) -> int:
        self.seen_by_tools[0] += 1
        return 0


@pytest.fixture
def seen() -> Iterator[Seen]:
    with Seen().load() as live:
        yield live


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_maps_are_listed(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = seen.seen_by_tools.info()
    (row,) = [row for row in json_of(capsys, "maps") if row["id"] == wanted.id]
    assert (row["type"], row["name"], row["key_size"], row["value_size"]) == ("array", "seen_by_tools", 4, 8)
    assert row["has_types"]
    assert main(["maps"]) == 0
    assert "seen_by_tools" in capsys.readouterr().out


def test_programs_are_listed_with_their_maps(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = program_info(seen.count_for_tool.fd)
    (row,) = [row for row in json_of(capsys, "progs") if row["id"] == wanted.id]
    assert (row["type"], row["name"], row["tag"]) == ("socket_filter", "count_for_tool", wanted.tag)
    assert row["maps"] == [seen.seen_by_tools.info().id]
    assert main(["progs"]) == 0
    assert wanted.tag in capsys.readouterr().out


def test_a_loaded_program_is_disassembled(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = program_info(seen.count_for_tool.fd).id
    (program,) = json_of(capsys, "dis", str(identifier))
    assert program["name"].startswith("count_for_tool")
    assert program["instructions"][-1]["text"] == "exit"


def test_runs_are_counted_while_one_watches(seen: Seen) -> None:
    def run(_: float) -> None:
        seen.count_for_tool.test_run(PACKET, repeat=1000)

    rows = {row["id"]: row for row in watch(0.1, run)}
    row = rows[program_info(seen.count_for_tool.fd).id]
    assert row["runs_per_s"] > 0
    assert 0 < row["ns_per_run"] < 1_000_000


def test_links_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with prog_load(ProgramType.RAW_TRACEPOINT, return_value(), name="for_links") as program:
        with raw_tracepoint_open(program, "sys_exit"):
            rows = json_of(capsys, "links")
        wanted = program_info(program).id
    (row,) = [row for row in rows if row["program"] == wanted]
    assert (row["type"], row["program_name"]) == ("raw_tracepoint", "for_links")


def test_features_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    report = json_of(capsys, "features")
    here = {row["name"]: row["here"] for row in (*report["features"], *report["maps"])}
    assert here["hash"] == here["array"] == here["queue"] == "yes"
    assert set(here.values()) <= {"yes", "no"}
    assert all(not job["missing"] for job in report["privileges"]["jobs"][:2])


@pytest.mark.parametrize("arguments", [["maps"], ["progs"], ["links"], ["features"], ["progs", "--watch", "0.1"]])
def test_without_privilege_it_is_3_and_says_why(arguments: list[str]) -> None:
    code, text = as_nobody(arguments)
    assert code == 3, text
    assert "CAP_" in text
    assert "Traceback" not in text


def as_nobody(arguments: list[str]) -> tuple[int, str]:
    """In a child, as the interpreter of a virtual environment may be closed to other users."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code, text = 99, io.StringIO()
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            features.missing.cache_clear()
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                code = main(arguments)
        except BaseException as error:  # noqa: BLE001 - the parent judges it
            text.write(repr(error))
        finally:
            os.write(writer, text.getvalue().encode())
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as answer:
        said = answer.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def test_a_program_that_is_not_there_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dis", "2147483000"]) == 1
    assert "open program 2147483000" in capsys.readouterr().err


def test_a_reader_who_has_enough_ends_it_quietly() -> None:
    command = f"{sys.executable} -m pybpf features | head -1"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("Linux ")
    assert done.stderr == ""

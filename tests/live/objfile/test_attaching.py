"""Programs of object files attached: where their sections say, and where they are told."""

from __future__ import annotations

import ctypes
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpf.objfile import LoadedObject, ObjectError, ObjectFile
from pybpf.objfile.write import object_bytes
from tests.support.written import Counting


@pytest.fixture
def live() -> Iterator[LoadedObject]:
    with ObjectFile(object_bytes(Counting())).load() as loaded:
        yield loaded


def hits(live: LoadedObject, index: int) -> int:
    count: int = live.maps["hits"][index]  # type: ignore[index]
    return count


def libc_path() -> str:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next(line.split()[-1] for line in lines if "libc.so" in line or "libc-" in line)


@pytest.mark.needs("uprobes")
@pytest.mark.parametrize(("program", "index"), [("called", 0), ("returned", 1)])
def test_a_uprobe_at_a_path_and_function(live: LoadedObject, program: str, index: int) -> None:
    with live.programs[program].attach(f"{libc_path()}:getppid"):
        for _ in range(3):
            ctypes.CDLL(None).getppid()
        assert hits(live, index) >= 3
    after = hits(live, index)
    ctypes.CDLL(None).getppid()
    assert hits(live, index) == after


@pytest.mark.needs("tracefs")
@pytest.mark.parametrize("target", ["sched:sched_process_fork", "sched/sched_process_fork"])
def test_a_tracepoint(live: LoadedObject, target: str) -> None:
    with live.programs["traced"].attach(target):
        subprocess.run(["true"], check=True)
        assert hits(live, 2) >= 1


def test_a_socket_filter(live: LoadedObject) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        with live.programs["received"].attach(receiver):
            receiver.sendto(b"x", receiver.getsockname())
            assert hits(live, 3) == 1


def test_a_program_without_a_place_says_so(live: LoadedObject) -> None:
    with pytest.raises(ObjectError, match="says nothing of where to attach it"):
        live.programs["traced"].attach()
    with pytest.raises(ObjectError, match="is no PATH:FUNCTION"):
        live.programs["called"].attach("getppid")
    with pytest.raises(ObjectError, match="attached by other means"):
        live.programs["received"].attach("eth0")

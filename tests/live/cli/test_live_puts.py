"""`epicsmon puts` as a person runs it: a process of its own, beside a real IOC and real clients."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from epicsmon.store.query import Store
from tests.support.clients import CaClient
from tests.support.epics import RealIoc

pytestmark = pytest.mark.needs("netns", "epics")

EPICSMON = str(Path(sys.executable).with_name("epicsmon"))
RECORDS = 'record(ao, "T:A") { field(PREC, "3") }\nrecord(ao, "T:B") { }\nrecord(stringout, "U:TEXT") { }\n'


class Run:
    """A run of the command, from when it is capturing."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def interrupt(self) -> tuple[list[str], list[str]]:
        self.process.send_signal(signal.SIGINT)
        return self.finish()

    def finish(self) -> tuple[list[str], list[str]]:
        """Wait for the end; the lines of stdout and stderr."""
        out, err = self.process.communicate(timeout=20)
        return out.splitlines(), err.splitlines()


def is_capturing(pid: int) -> bool:
    """Whether it has got as far as the table of sockets, which it opens when the filter is in place."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{name}").endswith("/net/tcp"):
                return True
    return False


@contextmanager
def running(*arguments: str) -> Iterator[Run]:
    with subprocess.Popen(
        [EPICSMON, "puts", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            end = time.monotonic() + 20
            while not is_capturing(process.pid):
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < end
                time.sleep(0.01)
            yield Run(process)
        finally:
            process.kill()


@pytest.fixture
def client(make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]) -> CaClient:
    return libca(make_ioc(RECORDS))


def test_a_line_a_put_and_a_summary_at_the_end(client: CaClient) -> None:
    with running() as run:
        client.put("T:A", 1.5)
        client.put("U:TEXT", "hello", notify=True)
        time.sleep(0.2)
        out, err = run.interrupt()
    assert run.process.returncode == 0
    first, second = out
    assert " T:A " in first
    assert " 1.5 " in first
    assert f"{client.user}@{client.host}" in first
    assert ' "hello" ' in second
    assert "put-callback" in second
    assert "epicsmon: puts: 2 seen, 2 delivered, 0 lost" in err


def test_objects_for_programs(client: CaClient) -> None:
    with running("--json", "--count", "3") as run:
        records = [client.put("T:A", value, notify=True) for value in (0.25, 1e300, float("inf"))]
        out, err = run.finish()
    assert run.process.returncode == 0
    puts: list[dict[str, Any]] = [json.loads(line) for line in out]
    assert [put["pv"] for put in puts] == ["T:A"] * 3
    assert [put["value"] for put in puts] == [0.25, 1e300, "Infinity"]
    assert all(r.before_ns < put["time_ns"] < r.after_ns for r, put in zip(records, puts))
    assert "epicsmon: puts: 3 seen, 3 delivered, 0 lost" in err


def test_globs_and_negations(client: CaClient) -> None:
    with running("--json", "T:*", "!*:B", "--count", "2") as run:
        client.put("T:B", 1.0)
        client.put("U:TEXT", "no")
        client.put("T:A", 2.0)
        client.put("T:B", 3.0)
        client.put("T:A.DESC", "yes")
        out, err = run.finish()
    assert [json.loads(line)["pv"] for line in out] == ["T:A", "T:A.DESC"]
    assert any("2 delivered, 0 lost, 3 filtered out" in line for line in err)


def test_the_end_of_a_duration(client: CaClient) -> None:
    with running("--duration", "1") as run:
        begun = time.monotonic()
        client.put("T:A", 1.0)
        out, _ = run.finish()
        assert time.monotonic() - begun < 5.0
    assert run.process.returncode == 0
    assert len(out) == 1


def test_what_is_stored_is_what_was_put(client: CaClient, tmp_path: Path) -> None:
    path = tmp_path / "puts.db"
    with running("--json", "--store", str(path), "--count", "500") as run:
        client.connect("T:A")
        client.burst("T:A", 500)
        out, _ = run.finish()
    with Store(path) as store:
        stored = [put.to_json() for put in store.puts()]
    assert [put["value"] for put in reversed(stored)] == [float(n) for n in range(500)]
    assert [json.loads(line) for line in out] == stored[::-1]


def test_a_channel_that_was_open_before(client: CaClient) -> None:
    client.put("T:A", 1.0, notify=True)
    with running() as run:
        client.put("T:A", 2.0)
        time.sleep(0.2)
        out, _ = run.interrupt()
    (line,) = out
    assert "unknown(sid=" in line
    assert "T:A" not in line


def test_it_ends_when_its_reader_has_gone(client: CaClient) -> None:
    client.connect("T:A")
    with ExitStack() as stack:
        run = stack.enter_context(running("--json"))
        assert run.process.stdout is not None
        run.process.stdout.close()
        end = time.monotonic() + 10
        while run.process.poll() is None and time.monotonic() < end:
            client.put("T:A", 1.0)
            time.sleep(0.05)
        assert run.process.returncode == 0


WITHOUT = {
    "any capability": ["--bounding-set=-all", "--inh-caps=-all"],
    "CAP_NET_RAW": ["--bounding-set=-net_raw", "--inh-caps=-all"],
    "CAP_BPF": ["--bounding-set=-bpf,-sys_admin", "--inh-caps=-all"],
}


@pytest.mark.parametrize("lacking", WITHOUT)
def test_without_privilege_it_says_what_is_missing(lacking: str) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv: apt-get install util-linux")
    command = ["setpriv", *WITHOUT[lacking], "--", EPICSMON, "puts", "--duration", "5"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert result.returncode == 3
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("epicsmon: ")
    assert "CAP_" in line
    if lacking.startswith("CAP_"):
        assert lacking in line
    assert "root" in line or "capabilit" in line

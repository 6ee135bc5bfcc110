"""The programs of examples/ run as their first lines say, on real traffic and real processes."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybpf.elf import loaded_library
from tests.support.netns import NetworkNamespace

EXAMPLES = Path(__file__).parents[3] / "examples"
STAT_LOOP = "import os, time\nwhile True: os.stat('/'); time.sleep(0.0005)"


class Example:
    """An example that runs; what it prints goes to a file, which never fills up."""

    def __init__(self, output: Path, name: str, *arguments: str) -> None:
        self._output = output
        with output.open("w") as stream:
            command = [sys.executable, str(EXAMPLES / name), *arguments]
            self.process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def finish(self) -> str:
        self.process.wait(timeout=30)
        text = self._output.read_text()
        assert self.process.returncode == 0, text
        return text


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Example]]:
    started = []

    def run(name: str, *arguments: str) -> Example:
        started.append(Example(tmp_path / "output", name, *arguments))
        return started[-1]

    yield run
    for example in started:
        example.process.kill()
        example.process.wait()


@pytest.fixture
def stat_loop() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", STAT_LOOP])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "count_packets.py",
        "latency_histogram.py",
        "trace_libc.py",
    }


def test_count_packets(netns: NetworkNamespace, start: Callable[..., Example]) -> None:
    counting = start("count_packets.py", "2")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while counting.running:
            sender.sendto(b"x", ("127.0.0.1", 9))
            time.sleep(0.05)
    found = re.search(r"^protocol +17 +(\d+) packets$", counting.finish(), re.MULTILINE)
    assert found is not None
    assert int(found.group(1)) >= 10


def test_trace_libc(start: Callable[..., Example]) -> None:
    tracing = start("trace_libc.py", "getenv", "2")
    while tracing.running:
        subprocess.run(["ls", "/"], check=True, stdout=subprocess.DEVNULL)
        time.sleep(0.1)
    assert re.search(r"^ls \(pid \d+\) called getenv\(0x[0-9a-f]+\)$", tracing.finish(), re.MULTILINE)


def test_latency_histogram(stat_loop: subprocess.Popen[bytes], start: Callable[..., Example]) -> None:
    time.sleep(0.3)  # until the process has mapped its libraries
    library = loaded_library("libc.so", stat_loop.pid)
    out = start("latency_histogram.py", str(stat_loop.pid), library, "stat", "1").finish()
    rows = re.findall(r"^ *(\d+) ns \.\. (\d+) +(\d+)  #*$", out, re.MULTILINE)
    assert sum(int(count) for _, _, count in rows) > 50
    assert all(int(high) == 2 * int(low) - 1 for low, high, _ in rows)

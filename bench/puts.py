"""What `epicsmon puts` keeps up with, what that costs, and how long a put takes to its line of output.

Each figure is of a process of its own, `epicsmon puts --json`, in a network namespace of its own. It and what makes
the traffic are bound to different CPUs where there are two. The output goes to a pipe that the benchmark reads: each
line is timed as it arrives, and every put must be there once, in order.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.put_traffic import PV
from tests.support.clients import LibcaClient
from tests.support.epics import RealIoc
from tests.support.netns import NetworkNamespace
from tests.support.process import LineProcess

RATES = (1_000, 5_000, 10_000, 20_000, 40_000, 80_000)
SECONDS = 5.0
BURST = 100_000
UPDATES = 100_000
HEAD = ("puts/s", "puts", "came out", "CPU %", "p50 ms", "p99 ms")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    """One run: how many puts were made and came out; percent of a CPU; milliseconds from the wire to a line."""

    traffic: str
    puts: int
    per_second: int
    delivered: int
    in_order: bool
    cpu_percent: float
    p50_ms: float
    p99_ms: float
    notes: dict[str, object] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every put came out once, in order."""
        return self.delivered == self.puts and self.in_order


class PutLog:
    """`epicsmon puts --json`, capturing; its lines are read as they come. A context manager."""

    def __init__(self, folder: Path, cpu: int | None) -> None:
        self._stderr = folder / "puts.stderr"
        begun = time.monotonic()
        with self._stderr.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("epicsmon")), "puts", "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=None if cpu is None else lambda: os.sched_setaffinity(0, {cpu}),
            )
        self.pid = self._process.pid
        self.lines: list[tuple[int, bytes]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        try:
            while not self._is_capturing():
                if self._process.poll() is not None or time.monotonic() - begun > 30:
                    raise RuntimeError(f"epicsmon puts does not capture: {self.account()}")
                time.sleep(0.002)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.seconds_to_capture = time.monotonic() - begun
        self._reader.start()

    def _is_capturing(self) -> bool:
        """Whether it has opened the table of sockets, which comes after the filter."""
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            with suppress(FileNotFoundError):
                if os.readlink(f"/proc/{self.pid}/fd/{name}").endswith("/net/tcp"):
                    return True
        return False

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append((time.time_ns(), line))

    def wait_for(self, count: int, patience_s: float) -> None:
        """Wait until so many lines have come, or none for ``patience_s``."""
        seen, since = 0, time.monotonic()
        while len(self.lines) < count and time.monotonic() - since < patience_s:
            if len(self.lines) != seen:
                seen, since = len(self.lines), time.monotonic()
            time.sleep(0.01)

    def cpu_seconds(self) -> float:
        """CPU time of the process so far, in user space and in the kernel."""
        columns = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(columns[11]) + int(columns[12])) / TICKS

    def resident_mb(self) -> float:
        """VmRSS of the process."""
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        return round(int(found[1]) / 1024, 1) if found else 0.0

    def account(self) -> list[str]:
        """What it said on stderr."""
        return self._stderr.read_text(errors="replace").strip().splitlines()

    def stop(self) -> None:
        """End it with Ctrl-C, so that it says its account."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> PutLog:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def figure(traffic: str, log: PutLog, made: int, seconds: float, cpu_s: float) -> Figure:
    """Account for the lines of a log that has ended."""
    waits, values = [], []
    for arrived_ns, line in log.lines:
        event = json.loads(line)
        if event["event"] == "put":
            values.append(event["value"])
            waits.append((arrived_ns - event["time_ns"]) / 1e6)
    waits.sort()
    return Figure(
        traffic,
        made,
        round(made / seconds),
        len(values),
        values == list(range(made)),
        round(100 * cpu_s / seconds, 1),
        round(statistics.median(waits), 1) if waits else 0.0,
        round(waits[int(len(waits) * 0.99)], 1) if waits else 0.0,
        {"seconds to capture": round(log.seconds_to_capture, 3), "account": log.account()},
    )


def steady(
    folder: Path, kind: str, rate: int, seconds: float, per_segment: int, cpus: tuple[int | None, int | None]
) -> Figure:
    """Puts at a steady rate on one circuit, or ``updates`` with a put a second."""
    ours, theirs = cpus
    arguments = [sys.executable, "-m", "bench.put_traffic", kind, str(rate), str(seconds), str(per_segment)]
    traffic = LineProcess(arguments, env=dict(os.environ), log=folder / "traffic.stderr")
    try:
        if theirs is not None:
            os.sched_setaffinity(traffic.pid, {theirs})
        traffic.read_until("READY")
        with PutLog(folder, ours) as log:
            before = log.cpu_seconds()
            traffic.write_line("go")
            made = json.loads(traffic.read_line(seconds + 30))
            log.wait_for(made["puts"], 2.0)
            used = log.cpu_seconds() - before
            resident = log.resident_mb()
            traffic.write_line("enough")
        shape = "a segment each" if per_segment == 1 else f"{per_segment} in a segment"
        result = figure(f"{kind}, {rate}/s, {shape}", log, made["puts"], made["seconds"], used)
        if made["updates"]:
            result.notes["updates a second"] = round(made["updates"] / made["seconds"])
        result.notes["resident MB"] = resident
        return result
    finally:
        traffic.stop()


def burst(folder: Path, count: int, cpus: tuple[int | None, int | None]) -> Figure:
    """A burst of a libca client to an IOC, as fast as these two can."""
    ours, theirs = cpus
    with (
        RealIoc(folder / "ioc", f'record(longout, "{PV}") {{ }}') as ioc,
        LibcaClient(folder / "client", ioc.client_environment()) as client,
    ):
        if theirs is not None:
            for pid in (ioc.pid, client.pid):
                for thread in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(thread), {theirs})
        with PutLog(folder, ours) as log:
            before, begun = log.cpu_seconds(), time.monotonic()
            client.burst(PV, count)
            seconds = time.monotonic() - begun
            log.wait_for(count, 3.0)
            used = log.cpu_seconds() - before
        return figure("a burst of libca to an IOC", log, count, seconds, used)


@contextmanager
def bound_to(cpu: int | None) -> Iterator[None]:
    """Bind this process, and what it starts meanwhile, to a CPU."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run(
    rates: tuple[int, ...] = RATES, seconds: float = SECONDS, count: int = BURST, *, say: Callable[[str], None] = print
) -> list[Figure]:
    """Run all of it; the rates end with the first that does not come out whole."""
    available = sorted(os.sched_getaffinity(0))
    cpus = (available[0], available[-1]) if len(available) > 1 else (None, None)
    figures: list[Figure] = []

    def note(one: Figure) -> None:
        figures.append(one)
        say(f"  {one.traffic}: {one.delivered} puts of {one.puts}")

    with tempfile.TemporaryDirectory() as name, NetworkNamespace() as namespace, namespace.entered(), bound_to(cpus[1]):
        folder = Path(name)
        for per_segment in (1, 20):
            for rate in rates:
                note(steady(folder, "puts", rate, seconds, per_segment, cpus))
                if not figures[-1].whole:
                    break
        note(steady(folder, "updates", UPDATES, seconds, 50, cpus))
        note(burst(folder, count, cpus))
    return figures


def as_json(figures: list[Figure]) -> list[dict[str, object]]:
    """Return the figures as they are written."""
    return [{**asdict(one), "whole": one.whole} for one in figures]


def table(rows: list[dict[str, object]]) -> str:
    """Return the figures in columns."""
    lines = [f"{'epicsmon puts --json':<38}" + "".join(f"{name:>10}" for name in HEAD)]
    for row in rows:
        names = ("per_second", "puts", "delivered", "cpu_percent", "p50_ms", "p99_ms")
        lines.append(f"{row['traffic']:<38}" + "".join(f"{row[name]:>10}" for name in names))
        if not row["whole"]:
            lines.append("    not every put came out once, in order")
    return "\n".join(lines)

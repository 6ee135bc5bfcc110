"""ns per dbProcess of a chain of 20 calc records in a real IOC: bare, with an empty session probe, with epicsmon trace.

The IOC and the observer are bound to different CPUs where there are two. Bursts are small enough for the tracer's ring
(a full ring would make events cheaper, not dearer) and alternate between the variants' own runs of bare, so that a
machine that speeds up or slows down meanwhile shows as a difference of the bare figures.
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
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.looping_ioc import LENGTH
from pybpf.asm import R0, encode, exit_, mov
from pybpf.elf import ElfImage, plan_probe
from pybpf.kernel.constants import AttachType, ProgramType
from pybpf.kernel.prog_ops import prog_load
from pybpf.links.uprobe_session import attach_session
from tests.support.epics import EpicsLibraries, epics_environment
from tests.support.netns import free_port
from tests.support.process import LineProcess

CHAINS_PER_BURST = 100
PAUSE_S = 0.05


@dataclass(frozen=True)
class Cost:
    """What one dbProcess costs in one variant: nanoseconds, median and fastest burst."""

    variant: str
    ns: float
    ns_fastest: float
    bursts: int
    notes: dict[str, object] = field(default_factory=dict)


class LoopingIoc:
    """The IOC of looping_ioc.py with its own copy of the libraries. A context manager."""

    def __init__(self, folder: Path, cpu: int | None) -> None:
        self.libraries = EpicsLibraries.copy(folder / "epics")
        self._process = LineProcess(
            [sys.executable, "-m", "bench.looping_ioc", self.libraries.home],
            env=epics_environment(free_port()),
            log=folder / "ioc.stderr",
        )
        self._process.read_until("READY")
        self.pid = self._process.pid
        if cpu is not None:
            for thread in os.listdir(f"/proc/{self.pid}/task"):
                os.sched_setaffinity(int(thread), {cpu})

    def burst(self, job: str = "chains", number: int = CHAINS_PER_BURST) -> float:
        """Return nanoseconds per dbProcess of one burst."""
        self._process.write_line(f"{job} {number}")
        elapsed: int = json.loads(self._process.read_line())["ns"]
        return elapsed / number / LENGTH

    def __enter__(self) -> LoopingIoc:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.stop()


@contextmanager
def empty_session(ioc: LoopingIoc) -> Iterator[dict[str, object]]:
    """A session program that does nothing, at entry and return of dbProcess: the floor for anything that sees both."""
    with ElfImage.open(str(ioc.libraries.dbcore)) as image:
        site = plan_probe(image, "dbProcess")
    program = encode([mov(R0, 0), exit_()])
    with (
        prog_load(
            ProgramType.KPROBE, program, name="empty", expected_attach_type=AttachType.TRACE_UPROBE_SESSION
        ) as loaded,
        attach_session(loaded, ioc.libraries.dbcore, [site.offset]),
    ):
        yield {"site": f"{site.symbol}+{site.skipped}: {site.instruction}"}


@contextmanager
def epicsmon_trace(ioc: LoopingIoc, folder: Path, cpu: int | None) -> Iterator[dict[str, object]]:
    """`epicsmon trace` of this IOC, writing JSON lines to a file; notes its start time, memory and own account."""
    notes: dict[str, object] = {}
    output, errors = folder / "trace.jsonl", folder / "trace.stderr"
    with output.open("wb") as out, errors.open("wb") as err:
        begun = time.monotonic()
        tracer = subprocess.Popen(
            [str(Path(sys.executable).with_name("epicsmon")), "trace", "--json", "--ioc", str(ioc.pid)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            preexec_fn=None if cpu is None else lambda: os.sched_setaffinity(0, {cpu}),
        )
    try:
        notes["seconds to probes live"] = round(probes_live(tracer, begun, errors), 3)
        yield notes
        notes["resident MB"] = round(resident_kib(tracer.pid) / 1024, 1)
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(30)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()
    with output.open() as lines:
        notes["lines written"] = sum(1 for _ in lines)
    notes["account"] = errors.read_text().strip().splitlines()


def probes_live(tracer: subprocess.Popen[bytes], begun: float, errors: Path, quiet_s: float = 1.0) -> float:
    """Return the seconds from the start of the process to its last link, as /proc shows: nothing it says itself."""
    seen, last = 0, 0.0
    while last == 0.0 or time.monotonic() - begun - last < quiet_s:
        if tracer.poll() is not None:
            raise RuntimeError(f"epicsmon trace ended: {errors.read_text(errors='replace').strip()}")
        if time.monotonic() - begun > 30:
            raise RuntimeError("epicsmon trace attached nothing within 30 s")
        now = links_of(tracer.pid)
        if now != seen:
            seen, last = now, time.monotonic() - begun
        time.sleep(0.002)
    return last


def links_of(pid: int) -> int:
    """Return how many BPF links and perf events the process holds."""
    count = 0
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(entry.path)
        except FileNotFoundError:
            continue
        count += target in ("anon_inode:bpf_link", "anon_inode:[perf_event]")
    return count


def resident_kib(pid: int) -> int:
    """Return VmRSS of the process in KiB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def loop_overhead(ioc: LoopingIoc) -> float:
    """Return what the loop itself adds to each dbProcess: part of every figure, too small to subtract."""
    return round(min(ioc.burst("walk") for _ in range(5)), 2)


def measure(ioc: LoopingIoc, variant: str, attached: AbstractContextManager[dict[str, object]], bursts: int) -> Cost:
    """Return the cost of one dbProcess while ``attached`` is."""
    with attached as notes:
        ioc.burst()  # the first burst meets cold caches
        times = []
        for _ in range(bursts):
            times.append(ioc.burst())
            time.sleep(PAUSE_S)
    return Cost(variant, round(statistics.median(times), 1), round(min(times), 1), bursts, notes)


def run(bursts: int, *, with_trace: bool = True, say: Callable[[str], None] = print) -> list[Cost]:
    """Measure each variant, bare before each of the others; return the costs."""
    cpus = sorted(os.sched_getaffinity(0))
    ours, theirs = (cpus[0], cpus[-1]) if len(cpus) > 1 else (None, None)
    before = os.sched_getaffinity(0)
    if ours is not None:
        os.sched_setaffinity(0, {ours})
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            variants: list[tuple[str, Callable[[], AbstractContextManager[dict[str, object]]]]] = [
                ("bare", lambda: nullcontext({"loop overhead, ns": loop_overhead(ioc)})),
                ("empty session probe", lambda: empty_session(ioc)),
                ("bare again", lambda: nullcontext({})),
                ("epicsmon trace", lambda: epicsmon_trace(ioc, folder, ours)),
            ]
            costs = []
            with LoopingIoc(folder, theirs) as ioc:
                for variant, attach in variants if with_trace else variants[:-1]:
                    costs.append(measure(ioc, variant, attach(), bursts))
                    say(f"  {variant}: {costs[-1].ns} ns")
            return costs
    finally:
        os.sched_setaffinity(0, before)


def as_json(costs: list[Cost]) -> list[dict[str, object]]:
    """Return the costs with what each adds to bare, absolute and as a multiple of the empty session's."""
    figures = {cost.variant: cost.ns for cost in costs}
    bare = min(figures["bare"], figures.get("bare again", figures["bare"]))
    empty = figures.get("empty session probe", bare) - bare
    rows = []
    for cost in costs:
        added = round(cost.ns - bare, 1)
        rows.append({**asdict(cost), "added_ns": added, "added_over_empty": round(added / empty, 2) if empty else None})
    return rows

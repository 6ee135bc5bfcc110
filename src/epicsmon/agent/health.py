"""Can it run here, and what would it use: kernel, privileges, features, IOCs. Everything is found by trying."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epicsmon.ioc import Ioc
    from pybpf.kernel.features import Feature


class Verdict(str, Enum):
    """What a check found."""

    OK = "ok"
    FALLBACK = "fallback"
    """Missing, but something else does its work."""
    MISSING = "missing"
    UNKNOWN = "unknown"
    """It may not be asked with the privileges at hand."""


class Job(str, Enum):
    """What a person wants to run; the value is the name of the command."""

    PUTS = "puts"
    TRACE = "trace"


BOTH = (Job.PUTS, Job.TRACE)


@dataclass(frozen=True)
class Check:
    """One finding: `detail` says what was found, `hint` what to do about it, `jobs` who cannot do without it."""

    name: str
    verdict: Verdict
    detail: str
    hint: str = ""
    jobs: tuple[Job, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The check under stable names."""
        return {
            "check": self.name,
            "verdict": self.verdict.value,
            "detail": self.detail,
            "hint": self.hint,
            "needed_by": [job.value for job in self.jobs],
        }


def ready(job: Job, checks: Sequence[Check]) -> bool:
    """Whether nothing that the job needs is missing or unknown."""
    return not any(job in check.jobs and check.verdict in (Verdict.MISSING, Verdict.UNKNOWN) for check in checks)


def check_host(proc: Path = Path("/proc")) -> Iterator[Check]:
    """The checks of this host, cheapest first."""
    yield check_kernel(os.uname())
    yield from check_capabilities(_effective_capabilities(proc))
    yield from check_features()


def check_kernel(uname: os.uname_result) -> Check:
    """Whether probes and captures are written for this machine at all."""
    detail = f"{uname.sysname} {uname.release} on {uname.machine}"
    if uname.sysname == "Linux" and uname.machine in ("x86_64", "aarch64"):
        return Check("kernel", Verdict.OK, detail, jobs=BOTH)
    return Check("kernel", Verdict.MISSING, detail, "run it on Linux, x86-64 or aarch64", BOTH)


@dataclass(frozen=True)
class Capability:
    """A capability of capabilities(7), by its bit, and what it is for here."""

    name: str
    bit: int
    purpose: str
    jobs: tuple[Job, ...]


CAP_SYS_ADMIN = 21
CAPABILITIES = (
    Capability("CAP_BPF", 39, "load BPF programs (Linux 5.8; CAP_SYS_ADMIN before)", BOTH),
    Capability("CAP_PERFMON", 38, "attach probes and read memory in them (Linux 5.8; CAP_SYS_ADMIN before)", BOTH),
    Capability("CAP_NET_RAW", 13, "see packets", (Job.PUTS,)),
    Capability("CAP_SYS_PTRACE", 19, "read the memory of IOCs of other users", (Job.TRACE,)),
)


def check_capabilities(effective: int) -> Iterator[Check]:
    """One check for each capability that is needed; CAP_SYS_ADMIN stands for the two of BPF."""
    for capability in CAPABILITIES:
        bits = {capability.bit, CAP_SYS_ADMIN} if capability.bit in (38, 39) else {capability.bit}
        if any(effective >> bit & 1 for bit in bits):
            yield Check(capability.name, Verdict.OK, capability.purpose, jobs=capability.jobs)
        else:
            hint = f"run as root, or give this process {capability.name}"
            yield Check(capability.name, Verdict.MISSING, capability.purpose, hint, capability.jobs)


def _effective_capabilities(proc: Path) -> int:
    for line in (proc / "self" / "status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def check_features() -> Iterator[Check]:
    """What this kernel can do, and which way of probing functions and of getting events it leads to."""
    from pybpf.kernel import features as f

    yield choose("events from the kernel", ((f.RING_BUFFER, "ring buffer"), (None, "perf rings, one per CPU")), BOTH)
    probes: tuple[tuple[Feature | None, str], ...] = (
        (f.UPROBE_SESSION, "uprobe session: one program at entry and return"),
        (f.UPROBE_MULTI, "uprobe_multi: one link for all functions of a library"),
        (f.PERF_LINK, "perf events with links"),
        (f.PERF_UPROBE, "perf events"),
    )
    yield choose("probes on functions", probes, (Job.TRACE,))
    memory: tuple[tuple[Feature | None, str], ...] = ((f.PROBE_READ_USER, "bpf_probe_read_user"),)
    yield choose("memory read in probes", memory, (Job.TRACE,))


def choose(name: str, ways: Sequence[tuple[Feature | None, str]], jobs: tuple[Job, ...]) -> Check:
    """The best of several ways to do something, best first; a way without a feature always works."""
    from pybpf.errors import KernelError, PermissionDenied
    from pybpf.kernel.features import missing

    tried: list[str] = []
    for position, (feature, way) in enumerate(ways):
        try:
            absent = None if feature is None else missing(feature)
        except PermissionDenied as error:
            return Check(name, Verdict.UNKNOWN, f"{error.operation}: {error.errno_name}", error.hint, jobs)
        except KernelError as error:
            absent = str(error)
        if absent is None:
            without = f"; not here: {'; '.join(tried)}" if tried else ""
            return Check(name, Verdict.OK if position == 0 else Verdict.FALLBACK, way + without, jobs=jobs)
        assert feature is not None
        tried.append(f"{feature.name} (Linux {feature.since})")
    return Check(name, Verdict.MISSING, f"not here: {'; '.join(tried)}", "run it on a newer kernel", jobs)


def check_iocs(find: Callable[[], Sequence[Ioc]]) -> Iterator[Check]:
    """One check for each IOC: whether it can be traced, and what a probe in its dbProcess costs."""
    found = find()
    if not found:
        yield Check("IOCs", Verdict.OK, "none runs here that may be looked at")
    for ioc in found:
        with ioc:
            yield check_ioc(ioc)


def check_ioc(ioc: Ioc) -> Check:
    """Whether an IOC's dbProcess can be probed: the site, its cost, and what stands against it."""
    from epicsmon.ioc import IocError
    from pybpf.elf.image import ElfImage
    from pybpf.elf.planner import CostClass, plan_probe
    from pybpf.elf.process_check import check_process
    from pybpf.errors import PybpfError

    name = f"IOC {ioc.name} (pid {ioc.pid})"
    try:
        process = check_process(ioc.pid)
        with ElfImage.open(ioc.function("dbProcess").path) as image:
            site = plan_probe(image, "dbProcess", needs_return=process.return_probes)
    except (IocError, PybpfError, OSError) as error:
        return Check(name, Verdict.MISSING, str(error), "it is left out of traces")
    cost = "cheap" if site.cost is CostClass.EMULATED else "slow"
    detail = f"Base {ioc.base_version or 'of unknown version'}; a probe in dbProcess is {cost}: {site.why}"
    if not process.return_probes:
        return Check(name, Verdict.FALLBACK, f"{detail}; entry only: {process.reason}")
    return Check(name, Verdict.OK if site.cost is CostClass.EMULATED else Verdict.FALLBACK, detail)

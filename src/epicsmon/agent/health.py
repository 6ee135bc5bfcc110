"""Can it run here, and what would it use: kernel, privileges, features, IOCs. Everything is found by trying."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
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


def check_host() -> Iterator[Check]:
    """The checks of this host, cheapest first."""
    from epicsmon.ioc.process import effective_capabilities

    yield check_kernel(os.uname())
    yield check_process_ids()
    yield from check_capabilities(effective_capabilities())
    yield from check_features()


def check_kernel(uname: os.uname_result) -> Check:
    """Whether probes and captures are written for this machine at all."""
    detail = f"{uname.sysname} {uname.release} on {uname.machine}"
    if uname.sysname == "Linux" and uname.machine == "x86_64":
        return Check("kernel", Verdict.OK, detail, jobs=BOTH)
    if uname.sysname == "Linux" and uname.machine == "aarch64":
        return Check("kernel", Verdict.MISSING, detail, "probes are placed in x86-64 code only so far", (Job.TRACE,))
    return Check("kernel", Verdict.MISSING, detail, "run it on Linux, x86-64 or aarch64", BOTH)


def check_process_ids() -> Check:
    """Whether process ids mean here what they mean to the programs in the kernel."""
    from epicsmon.ioc.process import has_host_process_ids

    if has_host_process_ids():
        return Check("process ids", Verdict.OK, "those of the host", jobs=(Job.TRACE,))
    hint = "run it on the host, or in a container with the host's (--pid=host)"
    return Check("process ids", Verdict.MISSING, "those of a container", hint, (Job.TRACE,))


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
    Capability(
        "CAP_PERFMON", 38, "attach probes and read memory in them (Linux 5.8; CAP_SYS_ADMIN before)", (Job.TRACE,)
    ),
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


def check_features() -> Iterator[Check]:
    """What this kernel can do, and which way of probing functions and of getting events it leads to."""
    from pybpf.kernel import features as f

    yield choose("events from the kernel", ((f.RING_BUFFER, "ring buffer"),), BOTH)
    probes = (
        (f.UPROBE_SESSION, "uprobe session: one program at entry and return"),
        (f.UPROBE_MULTI, "uprobe_multi: one link for all functions of a library"),
        (f.PERF_LINK, "perf events with links"),
        (f.PERF_UPROBE, "perf events"),
    )
    yield choose("probes on functions", probes, (Job.TRACE,))
    yield choose("memory read in probes", ((f.PROBE_READ_USER, "bpf_probe_read_user"),), (Job.TRACE,))


def choose(name: str, ways: Sequence[tuple[Feature, str]], jobs: tuple[Job, ...]) -> Check:
    """The best of several ways to do something, best first."""
    from pybpf.errors import KernelError, PermissionDenied
    from pybpf.kernel.features import missing

    tried: list[str] = []
    for position, (feature, way) in enumerate(ways):
        try:
            absent = missing(feature)
        except PermissionDenied as error:
            return Check(name, Verdict.UNKNOWN, f"{error.operation}: {error.errno_name}", error.hint, jobs)
        except KernelError as error:
            absent = str(error)
        if absent is None:
            without = f"; not here: {'; '.join(tried)}" if tried else ""
            return Check(name, Verdict.OK if position == 0 else Verdict.FALLBACK, way + without, jobs=jobs)
        tried.append(f"{feature.name} (Linux {feature.since})")
    return Check(name, Verdict.MISSING, f"not here: {'; '.join(tried)}", "run it on a newer kernel", jobs)


def check_iocs(found: Sequence[Ioc], not_permitted: int) -> Iterator[Check]:
    """One check for each IOC: whether it can be traced, and what a probe in its dbProcess costs.

    `not_permitted` is the number of processes that nobody could look into.
    """
    if not_permitted:
        detail = f"{not_permitted} processes may not be looked into, whether they are IOCs is not known"
        yield Check("IOCs", Verdict.UNKNOWN, detail, "run as root or with CAP_SYS_PTRACE")
    elif not found:
        yield Check("IOCs", Verdict.OK, "none runs here")
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

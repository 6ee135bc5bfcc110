"""What `epicsmon doctor` concludes from what it finds."""

from __future__ import annotations

import errno
import os

import pytest

from epicsmon.agent.health import (
    BOTH,
    Check,
    Job,
    Verdict,
    check_capabilities,
    check_iocs,
    check_kernel,
    choose,
    ready,
)
from pybpf.errors import KernelError, PermissionDenied
from pybpf.kernel.features import Feature

ALL = (1 << 41) - 1


def uname(system: str = "Linux", machine: str = "x86_64") -> os.uname_result:
    return os.uname_result((system, "host", "6.18.0", "#1", machine))


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (uname(), Verdict.OK),
        (uname(machine="aarch64"), Verdict.MISSING),
        (uname(machine="i686"), Verdict.MISSING),
        (uname(system="FreeBSD"), Verdict.MISSING),
    ],
)
def test_kernels(found: os.uname_result, verdict: Verdict) -> None:
    assert check_kernel(found).verdict is verdict


def test_on_aarch64_puts_can_run_and_traces_cannot() -> None:
    check = check_kernel(uname(machine="aarch64"))
    assert ready(Job.PUTS, [check])
    assert not ready(Job.TRACE, [check])


def missing_capabilities(effective: int) -> list[str]:
    return [check.name for check in check_capabilities(effective) if check.verdict is Verdict.MISSING]


def test_capabilities() -> None:
    assert missing_capabilities(ALL) == []
    assert missing_capabilities(0) == ["CAP_BPF", "CAP_PERFMON", "CAP_NET_RAW", "CAP_SYS_PTRACE"]
    assert missing_capabilities(1 << 21) == ["CAP_NET_RAW", "CAP_SYS_PTRACE"]
    assert missing_capabilities(1 << 39 | 1 << 38 | 1 << 13) == ["CAP_SYS_PTRACE"]


def test_without_ptrace_puts_can_run_and_traces_cannot() -> None:
    checks = list(check_capabilities(ALL & ~(1 << 19)))
    assert ready(Job.PUTS, checks)
    assert not ready(Job.TRACE, checks)
    (missing,) = (check for check in checks if check.verdict is Verdict.MISSING)
    assert missing.hint == "run as root, or give this process CAP_SYS_PTRACE"


def feature(name: str, answer: str | Exception | None) -> Feature:
    def probe() -> str | None:
        if isinstance(answer, Exception):
            raise answer
        return answer

    # Features are compared by name, and their answers are kept for the whole process.
    return Feature(f"{name} {os.urandom(4).hex()}", "6.13", probe)


def test_the_first_way_that_works_is_taken() -> None:
    best = choose("p", [(feature("a", None), "by a"), (feature("b", None), "by b")], BOTH)
    assert (best.verdict, best.detail) == (Verdict.OK, "by a")
    second = choose("p", [(feature("a", "EINVAL"), "by a"), (feature("b", None), "by b")], BOTH)
    assert second.verdict is Verdict.FALLBACK
    assert second.detail.startswith("by b; not here: a ")


def test_no_way_at_all() -> None:
    none = choose("p", [(feature("a", "EINVAL"), "by a"), (feature("b", KernelError("x", errno.EIO)), "by b")], BOTH)
    assert none.verdict is Verdict.MISSING
    assert "(Linux 6.13)" in none.detail
    assert not ready(Job.PUTS, [none])


def test_what_may_not_be_asked_is_unknown_and_not_ready() -> None:
    refused = choose("p", [(feature("a", PermissionDenied("load", errno.EPERM, "CAP_BPF")), "by a")], (Job.TRACE,))
    assert (refused.verdict, refused.hint) == (Verdict.UNKNOWN, "run as root or with CAP_BPF")
    assert ready(Job.PUTS, [refused])
    assert not ready(Job.TRACE, [refused])


def test_no_ioc_is_no_fault() -> None:
    (check,) = check_iocs((), 0)
    assert (check.verdict, check.detail) == (Verdict.OK, "none runs here")


def test_processes_that_may_not_be_looked_into_are_told() -> None:
    (check,) = check_iocs((), 3)
    assert check.verdict is Verdict.UNKNOWN
    assert check.detail.startswith("3 processes may not be looked into")
    assert all(ready(job, [check]) for job in Job)


def test_a_check_in_json() -> None:
    assert Check("kernel", Verdict.MISSING, "FreeBSD", "run it on Linux", BOTH).to_json() == {
        "check": "kernel",
        "verdict": "missing",
        "detail": "FreeBSD",
        "hint": "run it on Linux",
        "needed_by": ["puts", "trace"],
    }

"""What a process allows a probe to do to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pybpf.errors import PybpfError

_PROC = Path("/proc")


class ProcessGone(PybpfError):
    """There is no such process (any more), or /proc hides it; ``pid`` names it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        super().__init__(pid)

    def __str__(self) -> str:
        return f"process {self.pid} does not exist or is not visible in /proc"


@dataclass(frozen=True)
class ProcessCheck:
    """Whether return probes are safe in a process (entry probes always are); ``reason`` says why not, or is empty."""

    pid: int
    return_probes: bool
    reason: str


def check_process(pid: int, proc: Path = _PROC) -> ProcessCheck:
    """Whether a return probe may be set in the process; every thread is asked.

    A return probe ends in a system call of its own (``uretprobe``, Linux 6.11, commit ff474a78cef5), for which a
    seccomp filter that does not know it kills the process; later kernels let it pass, but which do is not for a version
    number to tell. A shadow stack (CET, ``x86_Thread_features: shstk``) notices a changed return address; from 6.11 on
    (commit 1713b63a07a2) it is changed there too. In both cases: entry probes only.

    Raises:
        ProcessGone: no such process.
    """
    try:
        threads = sorted((proc / str(pid) / "task").iterdir())
    except OSError:
        raise ProcessGone(pid) from None
    seen = False
    for thread in threads:
        try:
            status = (thread / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # the thread ended
        seen = True
        reason = _objection(status)
        if reason:
            return ProcessCheck(pid, False, f"thread {thread.name}: {reason}; use entry probes")
    if not seen:
        raise ProcessGone(pid)
    return ProcessCheck(pid, True, "")


def _objection(status: str) -> str:
    seccomp = re.search(r"^Seccomp:\s*(\d+)$", status, re.MULTILINE)
    if seccomp and seccomp.group(1) != "0":
        mode = {"1": "strict", "2": "a filter"}.get(seccomp.group(1), "unknown")
        return f"seccomp is on ({mode}), and a return probe's system call may kill the process"
    features = re.search(r"^x86_Thread_features:(.*)$", status, re.MULTILINE)
    if features and "shstk" in features.group(1).split():
        return "it runs with a shadow stack, which a return probe may upset"
    return ""

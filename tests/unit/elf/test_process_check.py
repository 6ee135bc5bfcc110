"""When return probes are not safe in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pybpf.elf import ProcessCheck, ProcessGone, check_process


def proc_with(tmp_path: Path, *threads: str) -> Path:
    for number, status in enumerate(threads, 100):
        folder = tmp_path / "100" / "task" / str(number)
        folder.mkdir(parents=True)
        (folder / "status").write_text(f"Name:\tioc\n{status}\nSpeculation_Store_Bypass:\tvulnerable\n")
    return tmp_path


def test_a_plain_process_takes_return_probes(tmp_path: Path) -> None:
    proc = proc_with(tmp_path, "Seccomp:\t0\nSeccomp_filters:\t0\nx86_Thread_features:\t", "Seccomp:\t0")
    assert check_process(100, proc) == ProcessCheck(100, True, "")


def test_a_filter_in_any_thread_forbids_return_probes(tmp_path: Path) -> None:
    check = check_process(100, proc_with(tmp_path, "Seccomp:\t0", "Seccomp:\t2\nSeccomp_filters:\t1"))
    assert not check.return_probes
    assert check.reason.startswith("thread 101: seccomp is on (a filter)")


def test_strict_seccomp_forbids_return_probes(tmp_path: Path) -> None:
    assert "strict" in check_process(100, proc_with(tmp_path, "Seccomp:\t1")).reason


def test_a_shadow_stack_forbids_return_probes(tmp_path: Path) -> None:
    check = check_process(100, proc_with(tmp_path, "Seccomp:\t0\nx86_Thread_features:\tshstk wrss"))
    assert not check.return_probes
    assert "shadow stack" in check.reason


def test_a_kernel_without_seccomp_takes_return_probes(tmp_path: Path) -> None:
    assert check_process(100, proc_with(tmp_path, "")).return_probes


def test_a_process_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProcessGone, match="process 7 ") as caught:
        check_process(7, tmp_path)
    assert caught.value.pid == 7


def test_this_process_is_asked_through_the_real_proc() -> None:
    text = Path("/proc/self/status").read_text()
    assert check_process(os.getpid()).return_probes is ("Seccomp:\t0" in text and "shstk" not in text)


def test_a_process_under_strict_seccomp_is_seen() -> None:
    script = "import ctypes, os; ctypes.CDLL(None).prctl(22, 1, 0, 0, 0) == 0 and os.write(1, b'on') and os.read(0, 1)"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            if child.stdout.read(2) != b"on":
                pytest.skip("needs seccomp (CONFIG_SECCOMP)")
            check = check_process(child.pid)
        finally:
            child.kill()
    assert not check.return_probes
    assert f"thread {child.pid}: seccomp is on (strict)" in check.reason

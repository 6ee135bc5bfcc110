"""What a process may do with BPF, read off a /proc that a test writes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.kernel import syscall
from pybpf.kernel.capabilities import (
    capability_names,
    decode_capabilities,
    missing_capabilities,
    privileges,
    program_capabilities,
)
from pybpf.kernel.constants import ProgramType


def write_proc(root: Path, effective: int, uid_map: str = "0 0 4294967295") -> Path:
    (root / "7").mkdir(parents=True)
    (root / "7/status").write_text(f"Name:\tx\nCapPrm:\t0\nCapEff:\t{effective:016x}\n")
    (root / "7/uid_map").write_text(f"         {uid_map}\n")
    (root / "sys/kernel").mkdir(parents=True)
    (root / "sys/kernel/unprivileged_bpf_disabled").write_text("2\n")
    (root / "kernel/security").mkdir(parents=True)
    (root / "kernel/security/lockdown").write_text("none [integrity] confidentiality\n")
    return root


def test_the_numbers_are_the_kernels() -> None:
    names = capability_names()
    assert len(names) == 41
    assert [names.index(name) for name in ("CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF")] == [
        12,
        21,
        38,
        39,
    ]


@given(st.sets(st.integers(0, 40)))
def test_a_mask_is_its_capabilities(bits: set[int]) -> None:
    names = capability_names()
    assert decode_capabilities(sum(1 << bit for bit in bits)) == {names[bit] for bit in bits}


def test_cap_sys_admin_stands_for_what_was_split_from_it() -> None:
    admin = frozenset({"CAP_SYS_ADMIN"})
    assert missing_capabilities(("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"), admin) == ("CAP_NET_ADMIN",)
    assert missing_capabilities(("CAP_SYS_ADMIN",), frozenset({"CAP_BPF"})) == ("CAP_SYS_ADMIN",)


def test_what_a_type_of_program_takes() -> None:
    assert program_capabilities(ProgramType.KPROBE) == ("CAP_BPF", "CAP_PERFMON")
    assert program_capabilities(ProgramType.XDP) == ("CAP_BPF", "CAP_NET_ADMIN")
    assert program_capabilities(ProgramType.SOCKET_FILTER) == ("CAP_BPF",)


def test_a_report_says_what_is_missing_for_each_job(tmp_path: Path) -> None:
    report = privileges(7, proc=write_proc(tmp_path, 1 << 39, "0 1000 1"), sys=tmp_path)
    assert report.capabilities == {"CAP_BPF"}
    missing = {job.what.split(" (")[0]: job.missing for job in report.jobs}
    assert missing["create maps, load socket filters"] == ()
    assert missing["load tracing programs"] == ("CAP_PERFMON",)
    assert missing["load network programs"] == ("CAP_NET_ADMIN",)
    assert (report.own_user_namespace, report.unprivileged_bpf, report.lockdown) == (True, False, "integrity")


def test_a_report_of_root(tmp_path: Path) -> None:
    report = privileges(7, proc=write_proc(tmp_path, (1 << 41) - 1), sys=tmp_path / "none")
    assert all(job.possible for job in report.jobs)
    assert (report.own_user_namespace, report.lockdown) == (False, "")


@pytest.mark.parametrize(
    ("uid", "held", "words"),
    [
        (1000, frozenset({"CAP_BPF"}), "this process lacks CAP_PERFMON: run as root or with CAP_PERFMON"),
        (0, frozenset(), "this is root without CAP_BPF and CAP_PERFMON"),
        (0, frozenset({"CAP_SYS_ADMIN"}), "which this process has, so look at its user namespace"),
    ],
)
def test_a_refusal_says_which_capability_is_missing(
    monkeypatch: pytest.MonkeyPatch, uid: int, held: frozenset[str], words: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(syscall, "held_capabilities", lambda: held)
    error = syscall.error_of("load program x", errno.EPERM, ProgramType.KPROBE.capability)
    assert words in str(error)

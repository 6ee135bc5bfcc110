from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.errors import KernelError, PermissionDenied, UnsupportedFeature
from pybpf.kernel.cpus import parse_cpu_list
from pybpf.kernel.prog_ops import version_code
from pybpf.kernel.syscall import error_of, numbers_for, object_name


def test_both_processors_have_their_own_numbers() -> None:
    assert (numbers_for("x86_64").bpf, numbers_for("x86_64").perf_event_open) == (321, 298)
    assert (numbers_for("aarch64").bpf, numbers_for("aarch64").perf_event_open) == (280, 241)


def test_an_unknown_processor_is_named() -> None:
    with pytest.raises(UnsupportedFeature, match="riscv64"):
        numbers_for("riscv64")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_a_refusal_names_the_capability(number: int) -> None:
    error = error_of("create map x", number, "CAP_BPF")
    assert isinstance(error, PermissionDenied)
    assert (error.operation, error.errno, error.capability) == ("create map x", number, "CAP_BPF")
    assert "CAP_BPF" in str(error)


def test_other_errors_keep_their_number_and_say_it_by_name() -> None:
    error = error_of("create map x", errno.E2BIG, "CAP_BPF", "the map is full")
    assert type(error) is KernelError
    assert str(error) == "create map x: Argument list too long (E2BIG); the map is full"


@given(st.text())
def test_any_name_becomes_one_the_kernel_accepts(name: str) -> None:
    kept = object_name(name)
    assert len(kept) <= 15
    assert all(chr(c).isalnum() or chr(c) in "_." for c in kept)
    assert len(kept) == min(15, len(name))


@pytest.mark.parametrize(
    ("release", "version", "code"),
    [
        ("6.18.44-fc-v657", "#1 SMP", 0x06122C),
        ("5.10", "", 0x050A00),
        ("4.19.0-26-amd64", "#1 SMP Debian 4.19.304-1 (2024-01-09)", 0x0413FF),
        ("garbage", "", 0),
    ],
)
def test_the_version_code_is_what_the_kernel_compiles_in(release: str, version: str, code: int) -> None:
    assert version_code(release, version) == code


@given(st.sets(st.integers(0, 300)))
def test_cpu_lists_are_read_as_the_kernel_writes_them(cpus: set[int]) -> None:
    parts: list[str] = []
    for cpu in sorted(cpus):
        first, _, last = parts[-1].partition("-") if parts else ("", "", "")
        if parts and int(last or first) == cpu - 1:
            parts[-1] = f"{first}-{cpu}"
        else:
            parts.append(str(cpu))
    assert parse_cpu_list(",".join(parts) + "\n") == tuple(sorted(cpus))

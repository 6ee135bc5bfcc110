"""System calls through cffi: numbers, the call itself, and errors with a reason a person can act on."""

from __future__ import annotations

import errno
import functools
import os
from dataclasses import dataclass
from typing import Any

from pybpf.errors import KernelError, PermissionDenied, UnsupportedFeature
from pybpf.kernel._ffi import ffi
from pybpf.kernel.capabilities import held_capabilities, missing_capabilities, named_capabilities
from pybpf.kernel.constants import OBJECT_NAME_LENGTH, Command

BPF_CAPABILITY = "CAP_BPF (CAP_SYS_ADMIN before Linux 5.8)"


@dataclass(frozen=True)
class SyscallNumbers:
    """The numbers of one processor family (arch/x86/entry/syscalls, include/uapi/asm-generic/unistd.h)."""

    bpf: int
    perf_event_open: int


_NUMBERS = {
    "x86_64": SyscallNumbers(bpf=321, perf_event_open=298),
    "aarch64": SyscallNumbers(bpf=280, perf_event_open=241),
}


def numbers_for(machine: str) -> SyscallNumbers:
    """The system call numbers of a processor; :class:`UnsupportedFeature` for one this toolkit does not know."""
    try:
        return _NUMBERS[machine]
    except KeyError:
        raise UnsupportedFeature(f"processor {machine}", tried=("known: " + ", ".join(_NUMBERS),)) from None


@functools.cache
def numbers() -> SyscallNumbers:
    """The system call numbers of this machine."""
    return numbers_for(os.uname().machine)


@functools.cache
def libc() -> Any:
    """The C library of this process; errno of a call is in ``ffi.errno``."""
    return ffi.dlopen(None)


def address(cdata: Any) -> int:
    """The address of a cffi pointer or array, as the kernel's structures want it."""
    return int(ffi.cast("uintptr_t", cdata))


def bpf_raw(command: Command, attr: Any) -> int:
    """bpf(2) with one of the structures of ``ffi_build``: the result, or the negative error number."""
    result: int = libc().syscall(numbers().bpf, command, address(attr), ffi.sizeof(attr[0]), 0, 0, 0)
    return result if result >= 0 else -ffi.errno


def bpf(command: Command, attr: Any, operation: str, capability: str = BPF_CAPABILITY) -> int:
    """bpf(2), raising :class:`KernelError` (or :class:`PermissionDenied`) that names the operation."""
    result = bpf_raw(command, attr)
    if result < 0:
        raise error_of(operation, -result, capability)
    return result


def error_of(operation: str, number: int, capability: str, hint: str = "") -> KernelError:
    """The exception for a failed call: EPERM and EACCES name the missing capability, the rest keep their number."""
    if number in (errno.EPERM, errno.EACCES):
        return PermissionDenied(operation, number, capability, hint or _permission_hint(capability))
    if number == errno.ENOSYS and not hint:
        hint = "the kernel has no such system call, or a seccomp profile hides it"
    return KernelError(operation, number, hint)


def _permission_hint(capability: str) -> str:
    """Which capability this process lacks, or where else to look when it has them all."""
    held = held_capabilities()
    lacking = " and ".join(missing_capabilities(named_capabilities(capability), held))
    if lacking and os.geteuid() == 0:
        return f"needs {capability}; this is root without {lacking}: give the container or the service {lacking}"
    if lacking:
        return f"needs {capability}; this process lacks {lacking}: run as root or with {lacking}"
    return (
        f"needs {capability}, which this process has, so look at its user namespace, its seccomp profile and kernel "
        "lockdown (/sys/kernel/security/lockdown)"
    )


def object_name(name: str) -> bytes:
    """A name the kernel accepts for a map or program: letters, digits, ``_`` and ``.``, 15 bytes at most."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)
    return kept[:OBJECT_NAME_LENGTH].encode("ascii")

"""What a process may do with BPF: its capabilities, against those that each job takes (5.8 split CAP_SYS_ADMIN)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pybpf.kernel.constants import ProgramType

_PROC = Path("/proc")

# include/uapi/linux/capability.h, from bit 0
_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""

_COVERED_BY_SYS_ADMIN = frozenset({"CAP_BPF", "CAP_PERFMON", "CAP_CHECKPOINT_RESTORE"})


@dataclass(frozen=True)
class Job:
    """Something one does with BPF and the capabilities it takes; ``missing`` is what this process lacks of them."""

    what: str
    needs: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def possible(self) -> bool:
        """Whether the process has all of them; the kernel may still refuse (seccomp, lockdown)."""
        return not self.missing


@dataclass(frozen=True)
class Privileges:
    """What decides over BPF for a process."""

    capabilities: frozenset[str]
    jobs: tuple[Job, ...]
    own_user_namespace: bool
    """Capabilities in a user namespace of one's own count for nothing here (without a BPF token, 6.9)."""
    unprivileged_bpf: bool | None
    """Whether users without any may load socket filters (kernel.unprivileged_bpf_disabled is 0); None if unknown."""
    lockdown: str
    """none, integrity or confidentiality (the last forbids reading kernel memory); "" if unknown."""


_JOBS = (
    ("create maps, load socket filters", ("CAP_BPF",)),
    ("load tracing programs (kprobes, uprobes, tracepoints, fentry)", ("CAP_BPF", "CAP_PERFMON")),
    ("load network programs (XDP, tc, cgroup)", ("CAP_BPF", "CAP_NET_ADMIN")),
    ("see the programs, maps and links of others", ("CAP_SYS_ADMIN",)),
    ("count the runs of programs", ("CAP_SYS_ADMIN",)),
    ("read the memory of other users' processes", ("CAP_SYS_PTRACE",)),
)


def capability_names() -> tuple[str, ...]:
    """All capabilities by bit: ``CAP_CHOWN`` is 0."""
    return tuple(f"CAP_{name}" for name in _NAMES.split())


def decode_capabilities(bits: int) -> frozenset[str]:
    """The capabilities of a mask as /proc/PID/status prints it."""
    return frozenset(name for bit, name in enumerate(capability_names()) if bits >> bit & 1)


def held_capabilities(pid: int | str = "self", *, proc: Path = _PROC) -> frozenset[str]:
    """The effective capabilities of a process."""
    status = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    match = re.search(r"^CapEff:\s*([0-9a-fA-F]+)$", status, re.MULTILINE)
    return decode_capabilities(int(match.group(1), 16)) if match else frozenset()


def missing_capabilities(needed: Iterable[str], held: frozenset[str]) -> tuple[str, ...]:
    """What of ``needed`` is not in ``held``, where CAP_SYS_ADMIN stands for the finer ones that were split from it."""
    return tuple(
        name for name in needed if name not in held and not (name in _COVERED_BY_SYS_ADMIN and "CAP_SYS_ADMIN" in held)
    )


def named_capabilities(text: str) -> tuple[str, ...]:
    """The capabilities in a text like ``CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8)``: the first two."""
    return tuple(re.findall(r"CAP_[A-Z_]+", text.partition("(")[0]))


def program_capabilities(program_type: ProgramType) -> tuple[str, ...]:
    """What it takes to load a program of this type."""
    return named_capabilities(program_type.capability)


def privileges(pid: int | str = "self", *, proc: Path = _PROC, sys: Path = Path("/sys")) -> Privileges:
    """What this process (or another) may do with BPF, and what it lacks for the rest."""
    held = held_capabilities(pid, proc=proc)
    disabled = _read(proc / "sys/kernel/unprivileged_bpf_disabled")
    lockdown = re.search(r"\[(\w+)\]", _read(sys / "kernel/security/lockdown"))
    return Privileges(
        capabilities=held,
        jobs=tuple(Job(what, needs, missing_capabilities(needs, held)) for what, needs in _JOBS),
        own_user_namespace=_read(proc / str(pid) / "uid_map").split() != ["0", "0", str((1 << 32) - 1)],
        unprivileged_bpf=disabled.strip() == "0" if disabled else None,
        lockdown=lockdown.group(1) if lockdown else "",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""Counting how often programs run and for how long; off by default, as it costs some 20 ns a run."""

from __future__ import annotations

import errno

from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import Command
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.syscall import bpf_raw, error_of

_RUN_TIME = 0  # BPF_STATS_RUN_TIME


def enable_statistics() -> OwnedFd:
    """Count runs and run time of all programs of the machine for as long as the descriptor is open (5.8).

    The numbers are in :class:`pybpf.kernel.info.ProgramInfo` (``run_count``, ``run_time_ns``) and begin with the load
    of a program; what ran while nobody counted is not in them.

    Raises:
        PermissionDenied: it takes CAP_SYS_ADMIN.
        KernelError: before Linux 5.8; there, ``sysctl kernel.bpf_stats_enabled=1`` does it (5.1).
    """
    attr = ffi.new("struct enable_stats *")
    attr.type = _RUN_TIME
    result = bpf_raw(Command.ENABLE_STATS, attr)
    if result < 0:
        old = -result == errno.EINVAL
        hint = "it came with Linux 5.8; on older ones: sysctl kernel.bpf_stats_enabled=1 (5.1)" if old else ""
        raise error_of("count the runs of programs", -result, "CAP_SYS_ADMIN", hint)
    return OwnedFd(result, "program statistics")

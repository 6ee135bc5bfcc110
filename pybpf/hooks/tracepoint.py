"""Programs at the kernel's tracepoints (BPF_PROG_TYPE_TRACEPOINT, 4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpf.hooks.base import Hook
from pybpf.kernel.constants import ProgramType
from pybpf.links.tracepoint import attach_tracepoint

if TYPE_CHECKING:
    from pybpf.links import Link


class Tracepoint(Hook):
    """A program at a tracepoint; ``ctx`` is a :class:`~pybpf.lang.RawContext`."""

    program_type = ProgramType.TRACEPOINT

    def attach(self, tracepoint: str, *, cookie: int = 0, pid: int | None = None) -> Link:
        """Attach to ``group:name``, in all processes or in one thread.

        Raises:
            ValueError: the name has no group.
            UnsupportedFeature: there is no such tracepoint, or tracefs is not mounted.
            KernelError, PermissionDenied: the kernel refused.
        """
        group, colon, name = tracepoint.partition(":")
        if not colon:
            raise ValueError(f"a tracepoint is named group:name, like sched:sched_switch, not {tracepoint!r}")
        return attach_tracepoint(self.fd, group, name, cookie=cookie, pid=pid)


tracepoint = Tracepoint
"""Decorator: ``@tracepoint def switched(self, ctx: RawContext) -> int``."""

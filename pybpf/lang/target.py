"""What a program is compiled for: a processor, a kernel, a way to attach."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """Facts that change the code; all of them are decided when the program is loaded.

    ``session_phase`` is None where one program serves entry and return (uprobe sessions, 6.13), else "entry" or
    "return" in the copy compiled for that side. ``kfuncs_with_context`` names the kernel functions of the session kind
    that take the context on the running kernel (none on 6.13 to 6.18).
    """

    machine: str = field(default_factory=platform.machine)
    session_phase: str | None = None
    kfuncs_with_context: frozenset[str] = frozenset()

    def kfunc_takes_context(self, name: str) -> bool:
        """Whether the kernel wants the program's context as the first argument of ``name``."""
        return name in self.kfuncs_with_context

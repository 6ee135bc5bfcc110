"""Programs at functions of the kernel (BPF_PROG_TYPE_KPROBE, 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pybpf.hooks.base import Hook
from pybpf.kernel.constants import ProgramType
from pybpf.links.kprobe import attach_kprobe

if TYPE_CHECKING:
    from pybpf.links import Link


class Kprobe(Hook):
    """A program at the entry of a kernel function; ``ctx`` is a :class:`~pybpf.lang.Registers`."""

    program_type = ProgramType.KPROBE
    at_return: ClassVar[bool] = False

    def attach(self, symbol: str, *, offset: int = 0, cookie: int = 0) -> Link:
        """Attach to ``symbol`` of the kernel, ``offset`` bytes behind it.

        Raises:
            UnsupportedFeature: the kernel is built without kprobes.
            KernelError, PermissionDenied: it refused; ENOENT where there is no such function.
        """
        return attach_kprobe(self.fd, symbol, offset=offset, returns=self.at_return, cookie=cookie)


class Kretprobe(Kprobe):
    """A program at the return of a kernel function; ``ctx.return_value`` is what it returns."""

    at_return = True


kprobe = Kprobe
"""Decorator: ``@kprobe def opened(self, ctx: Registers) -> int``."""
kretprobe = Kretprobe
"""Decorator for the return side."""

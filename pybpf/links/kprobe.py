"""Kprobes: programs at functions of the kernel (4.1; by perf event 4.17)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pybpf.kernel.perf_event import open_kprobe
from pybpf.links.link import Link
from pybpf.links.perf_attach import attach_perf_event

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd


def attach_kprobe(prog: OwnedFd, symbol: str, *, offset: int = 0, returns: bool = False, cookie: int = 0) -> Link:
    """Attach a KPROBE program to ``symbol`` plus ``offset`` bytes of the kernel, or to its return.

    Raises:
        UnsupportedFeature: a kernel built without kprobes.
        KernelError, PermissionDenied: the kernel refused; ENOENT where there is no such function.
    """
    opener = functools.partial(open_kprobe, symbol, offset, returns=returns)
    side = "return" if returns else "entry"
    return attach_perf_event(prog, opener, f"{prog.what} at {side} of kernel function {symbol}", cookie)

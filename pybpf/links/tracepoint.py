"""Tracepoints of the kernel: by perf event (program type TRACEPOINT, 4.7) or raw (RAW_TRACEPOINT, 4.17)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from pybpf.errors import KernelError, UnsupportedFeature
from pybpf.kernel.link_ops import raw_tracepoint_open
from pybpf.kernel.perf_event import open_tracepoint
from pybpf.links.link import Link, LinkKind
from pybpf.links.perf_attach import attach_perf_event

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
"""Where tracefs is mounted: by itself (4.1), and below debugfs."""


def tracepoint_id(group: str, name: str, tracefs: tuple[Path, ...] = TRACEFS) -> int:
    """The number of tracepoint ``group:name`` on this kernel.

    Raises:
        UnsupportedFeature: tracefs is not mounted, or has no such tracepoint.
        KernelError: tracefs does not let us in.
    """
    tried = []
    for root in tracefs:
        path = root / "events" / group / name / "id"
        try:
            return int(path.read_text(encoding="ascii"))
        except (FileNotFoundError, NotADirectoryError):
            tried.append(f"{path} does not exist")
        except OSError as error:
            raise KernelError(f"read {path}", error.errno or 0, "tracefs is for root") from None
    raise UnsupportedFeature(f"tracepoint {group}:{name}", tried=tuple(tried))


def attach_tracepoint(prog: OwnedFd, group: str, name: str, *, cookie: int = 0, pid: int | None = None) -> Link:
    """Attach a TRACEPOINT program to ``group:name``, in all processes or, with ``pid``, in one thread.

    Raises:
        UnsupportedFeature: no such tracepoint.
        KernelError, PermissionDenied: the kernel refused.
    """
    opener = functools.partial(open_tracepoint, tracepoint_id(group, name), pid=pid)
    return attach_perf_event(prog, opener, f"{prog.what} at tracepoint {group}:{name}", cookie)


def attach_raw_tracepoint(prog: OwnedFd, name: str, *, cookie: int = 0) -> Link:
    """Attach a RAW_TRACEPOINT program to the tracepoint ``name``, which has no group here.

    Raises:
        KernelError, PermissionDenied: the kernel refused; ENOENT where there is no such tracepoint.
    """
    fd = raw_tracepoint_open(prog, name, cookie=cookie)
    return Link(LinkKind.RAW_TRACEPOINT, f"{prog.what} at tracepoint {name}", (fd,))

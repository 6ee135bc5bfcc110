"""uprobe_multi links: one program at many sites of a file, attached and detached at once (6.6)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pybpf.kernel.link_ops import link_create_uprobe_multi
from pybpf.links.link import Link, LinkKind
from pybpf.links.sites import UprobeSites

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd


def attach_multi(
    prog: OwnedFd,
    path: str | os.PathLike[str],
    offsets: Sequence[int],
    cookies: Sequence[int] | None = None,
    *,
    returns: bool = False,
    pid: int | None = None,
) -> Link:
    """Attach a KPROBE program of attach type TRACE_UPROBE_MULTI to every offset, or to the returns, in one link.

    The filter by ``pid`` works from 6.10 on (:data:`pybpf.kernel.features.UPROBE_MULTI_PID`).

    Raises:
        KernelError: the kernel refused: EINVAL also where it has no such links.
        PermissionDenied: CAP_PERFMON or CAP_BPF is missing.
        ValueError: see :class:`~pybpf.links.sites.UprobeSites`.
    """
    sites = UprobeSites.of(path, offsets, cookies, pid)
    fd = link_create_uprobe_multi(
        prog, sites.path, sites.offsets, cookies=sites.cookies or None, pid=sites.pid, returns=returns
    )
    side = "return" if returns else "entry"
    return Link(LinkKind.UPROBE_MULTI, f"{prog.what} at {side} of {sites}", (fd,))

"""Uprobes by perf events (4.17): one event for each site, with the program attached by a link or by ioctl."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pybpf.kernel.perf_event import open_uprobe
from pybpf.links.link import Link
from pybpf.links.perf_attach import attach_perf_ioctl_events, attach_perf_link_events
from pybpf.links.sites import UprobeSites

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd


def attach_perf_link(
    prog: OwnedFd,
    path: str | os.PathLike[str],
    offsets: Sequence[int],
    cookies: Sequence[int] | None = None,
    *,
    returns: bool = False,
    pid: int | None = None,
) -> Link:
    """Attach a KPROBE program to every offset, or to the returns, by a bpf_link to a perf event each (5.15).

    Raises:
        KernelError, PermissionDenied: the kernel refused.
        UnsupportedFeature: no perf uprobes.
        ValueError: see :class:`~pybpf.links.sites.UprobeSites`.
    """
    sites = UprobeSites.of(path, offsets, cookies, pid)
    numbers = sites.cookies or (0,) * len(sites.offsets)
    return attach_perf_link_events(prog, _openers(sites, returns), numbers, _what(prog, sites, returns))


def attach_perf_ioctl(
    prog: OwnedFd,
    path: str | os.PathLike[str],
    offsets: Sequence[int],
    *,
    returns: bool = False,
    pid: int | None = None,
) -> Link:
    """Attach a KPROBE program to every offset, or to the returns, by PERF_EVENT_IOC_SET_BPF; it carries no cookie.

    Raises:
        KernelError, PermissionDenied: the kernel refused.
        UnsupportedFeature: no perf uprobes.
        ValueError: see :class:`~pybpf.links.sites.UprobeSites`.
    """
    sites = UprobeSites.of(path, offsets, None, pid)
    return attach_perf_ioctl_events(prog, _openers(sites, returns), _what(prog, sites, returns))


def _openers(sites: UprobeSites, returns: bool) -> list[Callable[[], OwnedFd]]:
    return [
        functools.partial(open_uprobe, sites.path, offset, returns=returns, pid=sites.pid) for offset in sites.offsets
    ]


def _what(prog: OwnedFd, sites: UprobeSites, returns: bool) -> str:
    return f"{prog.what} at {'return' if returns else 'entry'} of {sites}"

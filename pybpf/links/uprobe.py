"""Uprobes by the best way this kernel has, found by trying: session, uprobe_multi, perf link, perf ioctl.

A program must be loaded for the way it will be attached (its expected attach type), so the way is chosen together with
the programs: :func:`attach_uprobe` is given a loader and asks it for what the way at hand needs.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import Enum
from typing import TYPE_CHECKING

from pybpf.errors import KernelError, PermissionDenied, ProgramRejected, UnsupportedFeature
from pybpf.kernel.constants import AttachType
from pybpf.kernel.features import (
    PERF_LINK,
    PERF_UPROBE,
    UPROBE_MULTI,
    UPROBE_MULTI_PID,
    UPROBE_SESSION,
    Feature,
    missing,
)
from pybpf.links.link import Link, join_links
from pybpf.links.perf_uprobe import attach_perf_ioctl, attach_perf_link
from pybpf.links.sites import UprobeSites
from pybpf.links.uprobe_multi import attach_multi
from pybpf.links.uprobe_session import attach_session

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd


class ProbeSide(Enum):
    """Which side of a call a program sees."""

    ENTRY = "entry"
    RETURN = "return"
    BOTH = "entry and return"


class UprobeMethod(Enum):
    """A way to attach uprobes, best first."""

    SESSION = "uprobe session"
    MULTI = "uprobe_multi link"
    PERF_LINK = "perf link"
    PERF_IOCTL = "perf ioctl"

    @property
    def attach_type(self) -> AttachType:
        """The expected attach type that programs must be loaded with."""
        return {
            UprobeMethod.SESSION: AttachType.TRACE_UPROBE_SESSION,
            UprobeMethod.MULTI: AttachType.TRACE_UPROBE_MULTI,
        }.get(self, AttachType.NONE)

    @property
    def features(self) -> tuple[Feature, ...]:
        """What the kernel must have for it."""
        return {
            UprobeMethod.SESSION: (UPROBE_SESSION,),
            UprobeMethod.MULTI: (UPROBE_MULTI,),
            UprobeMethod.PERF_LINK: (PERF_UPROBE, PERF_LINK),
            UprobeMethod.PERF_IOCTL: (PERF_UPROBE,),
        }[self]


ProgramLoader = Callable[[UprobeMethod, ProbeSide], "OwnedFd"]
"""Gives the program for one side, loaded for one method; the descriptor stays the loader's, which may keep it.

It is asked for BOTH only for a session, else for ENTRY and RETURN.
"""

# What kernels say to an attach type, flag or instruction they do not know; 524 is ENOTSUPP, which has no name here.
_NOT_HERE = frozenset((errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.E2BIG, errno.ENODEV, 524))


def uprobe_methods(side: ProbeSide, *, pid: int | None = None, cookies: bool = False) -> tuple[UprobeMethod, ...]:
    """The ways this kernel has for such a probe, best first; the kernel is asked once per process.

    Raises:
        PermissionDenied: this process may not even ask.
    """
    return tuple(method for method in UprobeMethod if not _objections(method, side, pid, cookies))


def attach_uprobe(
    load: ProgramLoader,
    path: str | os.PathLike[str],
    offsets: Sequence[int],
    *,
    side: ProbeSide = ProbeSide.ENTRY,
    cookies: Sequence[int] | None = None,
    pid: int | None = None,
    force: UprobeMethod | None = None,
) -> Link:
    """Attach to every offset by the first way that works; ``force`` allows only one.

    Raises:
        UnsupportedFeature: no way is to be had here; says what was tried.
        KernelError: every way there is was refused; the error is that of the best.
        PermissionDenied: CAP_PERFMON or CAP_BPF is missing.
        ValueError: see :class:`~pybpf.links.sites.UprobeSites`; or a session forced for one side.
    """
    sites = UprobeSites.of(path, offsets, cookies, pid)
    if force is UprobeMethod.SESSION and side is not ProbeSide.BOTH:
        raise ValueError("a session sees entry and return")
    tried: list[str] = []
    refused: KernelError | None = None
    for method in UprobeMethod if force is None else (force,):
        objections = _objections(method, side, sites.pid, sites.needs_cookies)
        if objections:
            tried += [f"{method.value}: {objection}" for objection in objections]
            continue
        try:
            return _attach(method, load, sites, side)
        except (PermissionDenied, ProgramRejected):
            raise
        except KernelError as error:
            if error.errno not in _NOT_HERE:
                raise
            refused = refused or error
    if refused is not None:
        raise refused
    since = {UprobeMethod.SESSION: "6.13", UprobeMethod.MULTI: "6.6", UprobeMethod.PERF_LINK: "5.15"}
    raise UnsupportedFeature(f"a uprobe at {side.value}", since.get(force, "4.17") if force else "4.17", tuple(tried))


def _objections(method: UprobeMethod, side: ProbeSide, pid: int | None, cookies: bool) -> list[str]:
    """Why a method cannot serve here, one text each; none if it can."""
    if method is UprobeMethod.SESSION and side is not ProbeSide.BOTH:
        return ["it is for both sides"]
    if method is UprobeMethod.PERF_IOCTL and cookies:
        return ["it carries no cookies"]
    features = method.features
    if pid is not None and method in (UprobeMethod.SESSION, UprobeMethod.MULTI):
        features += (UPROBE_MULTI_PID,)
    return [f"{feature.name} ({feature.since}): {text}" for feature in features if (text := missing(feature))]


def _attach(method: UprobeMethod, load: ProgramLoader, sites: UprobeSites, side: ProbeSide) -> Link:
    if side is not ProbeSide.BOTH:
        return _attach_side(method, load(method, side), sites, returns=side is ProbeSide.RETURN)
    if method is UprobeMethod.SESSION:
        return attach_session(load(method, side), sites.path, sites.offsets, sites.cookies, pid=sites.pid)
    entry, back = load(method, ProbeSide.ENTRY), load(method, ProbeSide.RETURN)
    with ExitStack() as stack:
        # The return side comes first and goes last: an entry that is seen without its return would stay open.
        returns = stack.enter_context(_attach_side(method, back, sites, returns=True))
        entries = stack.enter_context(_attach_side(method, entry, sites, returns=False))
        stack.pop_all()
    return join_links([entries, returns], f"{entry.what} and {back.what} at entry and return of {sites}")


def _attach_side(method: UprobeMethod, prog: OwnedFd, sites: UprobeSites, *, returns: bool) -> Link:
    path, offsets, cookies, pid = sites.path, sites.offsets, sites.cookies, sites.pid
    if method is UprobeMethod.MULTI:
        return attach_multi(prog, path, offsets, cookies, returns=returns, pid=pid)
    if method is UprobeMethod.PERF_LINK:
        return attach_perf_link(prog, path, offsets, cookies, returns=returns, pid=pid)
    return attach_perf_ioctl(prog, path, offsets, returns=returns, pid=pid)

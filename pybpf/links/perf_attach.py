"""Attaching a program to perf events: by a link (5.15), which takes a cookie, or by ioctl (4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pybpf.kernel import perf_event
from pybpf.kernel.features import PERF_LINK, have
from pybpf.kernel.link_ops import link_create_perf_event
from pybpf.links.link import Link, LinkKind

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd


def attach_perf_link_events(
    prog: OwnedFd, openers: Sequence[Callable[[], OwnedFd]], cookies: Sequence[int], what: str
) -> Link:
    """Open each event and link the program to it; all or none."""
    with ExitStack() as stack:
        fds: list[OwnedFd] = []
        for opener, cookie in zip(openers, cookies):
            event = stack.enter_context(opener())
            link = stack.enter_context(link_create_perf_event(prog, event, cookie=cookie))
            fds += (link, event)  # the link first: it would keep the event alive
        stack.pop_all()
    return Link(LinkKind.PERF_LINK, what, fds)


def attach_perf_ioctl_events(prog: OwnedFd, openers: Sequence[Callable[[], OwnedFd]], what: str) -> Link:
    """Open each event, give it the program and enable it; all or none."""
    with ExitStack() as stack:
        fds: list[OwnedFd] = []
        for opener in openers:
            event = stack.enter_context(opener())
            perf_event.set_bpf(event, prog)
            perf_event.enable(event)
            fds.append(event)
        stack.pop_all()
    return Link(LinkKind.PERF_IOCTL, what, fds)


def attach_perf_event(prog: OwnedFd, opener: Callable[[], OwnedFd], what: str, cookie: int = 0) -> Link:
    """One event by a link where the kernel has them, else by ioctl; a cookie needs the link."""
    if cookie or have(PERF_LINK):
        return attach_perf_link_events(prog, [opener], [cookie], what)
    return attach_perf_ioctl_events(prog, [opener], what)

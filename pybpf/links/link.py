"""What all hooks give back: a link, which keeps a program attached for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from pybpf.kernel.fd import OwnedFd


class LinkKind(Enum):
    """By which of the kernel's ways a program is attached; the text is for people."""

    UPROBE_SESSION = "uprobe session"
    UPROBE_MULTI = "uprobe_multi link"
    PERF_LINK = "perf link"
    PERF_IOCTL = "perf ioctl"
    RAW_TRACEPOINT = "raw tracepoint link"
    SOCKET = "socket option"


class Link:
    """A program attached to something: a context manager that detaches it.

    It owns the descriptors that hold the attachment; the program's stay with whoever loaded it. Several attachments
    that make one probe (entry and return, or one for each site) are one link.
    """

    def __init__(
        self, kind: LinkKind, what: str, fds: Sequence[OwnedFd], on_detach: Callable[[], None] | None = None
    ) -> None:
        """Take over ``fds``, which are closed in this order; ``on_detach`` runs before."""
        self.kind = kind
        self.what = what
        self._fds = tuple(fds)
        self._on_detach = on_detach
        self._attached = True

    @property
    def attached(self) -> bool:
        """Whether it was not detached yet."""
        return self._attached

    @property
    def descriptors(self) -> tuple[OwnedFd, ...]:
        """The descriptors of the kernel's links and events, for :mod:`pybpf.kernel.info`."""
        return self._fds

    def detach(self) -> None:
        """Detach the program; a second call does nothing.

        The kernel waits for running probes: on 6.18 about 20 ms for a multi link and up to 135 ms for each perf event.
        """
        if not self._attached:
            return
        self._attached = False
        with ExitStack() as stack:
            for fd in reversed(self._fds):
                stack.callback(fd.close)
            if self._on_detach is not None:
                stack.callback(self._on_detach)

    def describe(self) -> str:
        """What is attached where, and how, in one line."""
        state = "" if self._attached else " (detached)"
        return f"{self.what} by {self.kind.value}{state}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.detach()

    def __repr__(self) -> str:
        return f"<Link {self.describe()}>"


def join_links(links: Sequence[Link], what: str) -> Link:
    """One link of several of one kind, which takes their descriptors over and detaches in this order."""
    return Link(links[0].kind, what, [fd for link in links for fd in link.descriptors])

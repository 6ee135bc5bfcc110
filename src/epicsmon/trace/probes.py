"""The kernel side of tracing: programs loaded for one build of Base, attached to its IOCs, and what they count."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from epicsmon.ioc import NoSuchFunction
from epicsmon.ioc.process import has_host_process_ids
from epicsmon.programs.process_trace import MAX_DEPTH, ProcessTrace, Thread
from epicsmon.trace.calls import BadCall, decode_call
from pybpf.errors import UnsupportedFeature
from pybpf.links import ProbeSide, uprobe_methods

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from epicsmon.trace.calls import RawCall
    from epicsmon.trace.subject import TracedIoc
    from pybpf.links import Link, UprobeMethod

FUNCTIONS = {
    "process": ("dbProcess",),
    "put_field": ("dbPutField",),
    "put": ("dbPut",),
    "put_notify": ("dbProcessNotify",),
}
"""The function of Base each program is for; dbProcessNotify is 3.15 and later."""

LayoutKey = tuple[int, int, int, int]

_REQUIRED = "process"


@dataclass(frozen=True)
class ProbeCounts:
    """What the programs counted: at rest ``seen`` is what came through the ring, plus all that follows here."""

    seen: int = 0
    ring_full: int = 0
    too_deep: int = 0
    abandoned: int = 0
    open: int = 0
    untracked: int = 0

    @property
    def lost(self) -> int:
        """Calls that gave no event though they ended."""
        return self.ring_full + self.too_deep + self.abandoned + self.untracked

    def __add__(self, other: ProbeCounts) -> ProbeCounts:
        return ProbeCounts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class Probes:
    """The programs of one layout, attached to any number of processes that share it. A context manager."""

    def __init__(
        self, subject: TracedIoc, *, force: UprobeMethod | None = None, sizes: Mapping[str, int] | None = None
    ) -> None:
        """Load the programs; ``sizes`` overrides the sizes of their maps (:meth:`pybpf.object.BpfObject.load`).

        Raises:
            PermissionDenied, UnsupportedFeature, KernelError, VerifierError: the kernel does not take them.
        """
        layout = subject.layout
        self.key = layout_key(subject)
        self._force = force
        self._object = ProcessTrace(
            window_offset=layout.offset,
            window_size=layout.size,
            certain_size=layout.certain_size,
            element_sizes=layout.element_sizes,
        ).load(max_entries=dict(sizes or {}))
        self._links: dict[int, list[Link]] = {}
        self._ended = ProbeCounts()

    def attach(self, subject: TracedIoc) -> list[Link]:
        """Attach to the functions of one IOC; those that its Base does not have are left out.

        Raises:
            NoSuchFunction: it has no dbProcess.
            UnsafeProbeSite, UnsupportedFeature, PermissionDenied, KernelError: a probe cannot be set, or not safely.
        """
        pid = subject.ioc.pid
        with ExitStack() as undo:
            links: list[Link] = []
            for program, (symbol,) in FUNCTIONS.items():
                try:
                    function = subject.ioc.function(symbol)
                except NoSuchFunction:
                    if program == _REQUIRED:
                        raise
                    continue
                hook = getattr(self._object, program)
                links.append(undo.enter_context(hook.attach(function.path, symbol, pid=pid, force=self._force)))
            undo.pop_all()
        self._links[pid] = links
        return links

    def detach(self, pid: int) -> None:
        """Take the probes out of one IOC."""
        for link in self._links.pop(pid, []):
            link.detach()

    def poll(self, handle: Callable[[RawCall], object], limit: int | None = None) -> tuple[int, int]:
        """Give the calls in the ring to ``handle``; returns how many records were taken, how many were garbage."""
        bad = 0

        def decode(record: memoryview) -> None:
            nonlocal bad
            try:
                call = decode_call(record)
            except BadCall:
                bad += 1
                return
            handle(call)

        taken = self._object.calls.consume(decode, limit)
        return taken, bad

    def counts(self) -> ProbeCounts:
        """What the programs have counted since they were loaded.

        Threads that have ended are taken out of the kernel's table, so that there is room for new ones; their calls
        without a return never will.
        """
        untracked = self._object.untracked[0]
        total = ProbeCounts(seen=untracked, untracked=untracked)
        for key, thread in self._object.threads.items():
            if _thread_runs(key):
                total += _counts_of(thread)
                continue
            counted = _counts_of(self._object.threads.lookup(key) or thread)  # with what it did since it was read
            self._object.threads.delete(key)
            self._ended += replace(counted, abandoned=counted.abandoned + counted.open, open=0)
        return total + self._ended

    def close(self) -> None:
        """Detach everything and give the programs back."""
        for pid in list(self._links):
            self.detach(pid)
        self._object.close()

    def __enter__(self) -> Probes:  # noqa: PYI034 - typing.Self is 3.11
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def layout_key(subject: TracedIoc) -> LayoutKey:
    """What IOCs must have in common to share programs."""
    layout = subject.layout
    return (layout.offset, layout.size, layout.certain_size, layout.element_sizes)


class ForeignProcessIds(UnsupportedFeature):
    """Process ids here are those of a container; calls come up from the kernel with those of the host."""

    def __init__(self) -> None:
        super().__init__("tracing with process ids other than the host's")

    def __str__(self) -> str:
        return f"{super().__str__()}; run it on the host, or in a container that shares its process ids (--pid=host)"


def require_uprobes() -> None:
    """Find out before there is an IOC to attach to whether this can be done at all.

    Raises:
        PermissionDenied, UnsupportedFeature: it cannot.
    """
    if not has_host_process_ids():
        raise ForeignProcessIds
    if not uprobe_methods(ProbeSide.BOTH):
        raise UnsupportedFeature("programs at functions of user space (uprobes)", "4.17", ())


def _counts_of(thread: Thread) -> ProbeCounts:
    still_open = min(thread.depth, MAX_DEPTH)
    return ProbeCounts(thread.seen, thread.ring_full, thread.too_deep, thread.abandoned, still_open)


def _thread_runs(pid_tgid: int) -> bool:
    return os.path.exists(f"/proc/{pid_tgid >> 32}/task/{pid_tgid & 0xFFFFFFFF}")

"""The kernel side of tracing: programs loaded for one build of Base, attached to its IOCs, and what they count."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from epicsmon.ioc import NoSuchFunction
from epicsmon.programs.process_trace import ProcessTrace
from epicsmon.trace.calls import BadCall, decode_call

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Probes:
    """The programs of one layout, attached to any number of processes that share it. A context manager."""

    def __init__(self, subject: TracedIoc, *, force: UprobeMethod | None = None) -> None:
        """Load the programs.

        Raises:
            PermissionDenied, UnsupportedFeature, KernelError, VerifierError: the kernel does not take them.
        """
        layout = subject.layout
        self.key = layout_key(subject)
        self._force = force
        self._object = ProcessTrace(
            window_offset=layout.offset, window_size=layout.size, element_sizes=layout.element_sizes
        ).load()
        self._links: dict[int, list[Link]] = {}

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

    def poll(self, handle: Callable[[RawCall], object]) -> tuple[int, int]:
        """Give every call in the ring to ``handle``; returns how many there were, and how many were garbage."""
        bad = 0

        def decode(record: memoryview) -> None:
            nonlocal bad
            try:
                call = decode_call(record)
            except BadCall:
                bad += 1
                return
            handle(call)

        return self._object.calls.consume(decode), bad

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is something in the ring; False when the time is over."""
        return self._object.calls.poll(timeout_s)

    def counts(self) -> ProbeCounts:
        """What the programs have counted since they were loaded."""
        seen = ring_full = too_deep = abandoned = still_open = 0
        for thread in self._object.threads.values():
            seen += thread.seen
            ring_full += thread.ring_full
            too_deep += thread.too_deep
            abandoned += thread.abandoned
            still_open += min(thread.depth, len(thread.frames))
        untracked = self._object.untracked[0]
        return ProbeCounts(seen + untracked, ring_full, too_deep, abandoned, still_open, untracked)

    def close(self) -> None:
        """Detach everything and give the programs back."""
        for pid in list(self._links):
            self.detach(pid)
        self._object.close()

    def __enter__(self) -> Probes:  # noqa: PYI034 - typing.Self is 3.11
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def layout_key(subject: TracedIoc) -> tuple[int, int, int]:
    """What IOCs must have in common to share programs."""
    return (subject.layout.offset, subject.layout.size, subject.layout.element_sizes)

"""Tracing the IOCs of this host: find them, attach, give chains; follow IOCs that come and go."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from epicsmon.clock import clock_offset
from epicsmon.events import Chain, Gap, IocEvent, IocEventKind
from epicsmon.ioc import DatabaseNotLoaded, IocError, IocFinder
from epicsmon.trace.account import Account
from epicsmon.trace.builder import ChainBuilder
from epicsmon.trace.identity import boot_id
from epicsmon.trace.probes import LayoutKey, ProbeCounts, Probes, layout_key, require_uprobes
from epicsmon.trace.subject import TracedIoc
from pybpf.errors import PermissionDenied, PybpfError, UnsupportedFeature

if TYPE_CHECKING:
    from typing_extensions import Self

    from epicsmon.counters import Counters
    from epicsmon.ioc import Ioc
    from epicsmon.ioc.process import ProcessIdentity
    from epicsmon.trace.builder import Built
    from epicsmon.trace.calls import RawCall
    from pybpf.links import UprobeMethod

POLL_S = 0.02
"""The programs do not wake the reader, which is four times cheaper for the IOC; it looks this often."""
LOOK_AROUND_S = 2.0
"""How often new and ended IOCs are looked for, and losses in the kernel counted."""
BATCH = 4096
"""Calls taken out of a ring at once: bounds the memory of a reader that has fallen behind."""

TraceEvent = Union[Chain, Gap, IocEvent]


@dataclass
class Traced:
    """An IOC under the tracer; one that ends is still there until its last calls have come out of the ring.

    ``since`` (CLOCK_MONOTONIC, ns) is when the last of its probes was set: chains that began before are not whole.
    """

    subject: TracedIoc
    builder: ChainBuilder
    probes: Probes
    since: int
    ending: bool = False


class TraceSource:
    """Chains of all traced IOCs, as an iterator; see :func:`trace_processing`."""

    def __init__(
        self,
        iocs: Sequence[str | int] | None = None,
        *,
        force: UprobeMethod | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._wanted = [str(item) for item in iocs] if iocs else None
        self._force = force
        self._sizes = sizes
        self._finder = IocFinder()
        self._boot = boot_id()
        self._cleanup = ExitStack()
        self._probes: dict[LayoutKey, Probes] = {}
        self._traced: dict[int, Traced] = {}
        self._refused: set[ProcessIdentity] = set()
        self._account = Account()
        self._early = 0
        self._waiting: list[TraceEvent] = []
        self._caught_up = True
        self._stopped = False
        self._ended = False

    @property
    def counters(self) -> Counters:
        """In calls: seen by the probes, delivered in spans, lost in between; balanced when the iteration has ended.

        ``filtered`` counts what arrived after the iteration was left, and what :attr:`early` counts.
        """
        return self._account.counters

    @property
    def early(self) -> int:
        """Calls of chains that began before all probes were set: not shown, for others of their calls are missing."""
        return self._early

    @property
    def traced(self) -> tuple[TracedIoc, ...]:
        """The IOCs that are traced now."""
        return tuple(traced.subject for traced in self._traced.values() if not traced.ending)

    @property
    def not_permitted(self) -> int:
        """How many processes may not be looked into, whether they are IOCs is not known (CAP_SYS_PTRACE)."""
        return self._finder.not_permitted

    def stop(self) -> None:
        """End the iteration after what was already received."""
        self._stopped = True

    def look_around(self) -> None:
        """Attach to IOCs that are new, detach from those that ended.

        Raises:
            PermissionDenied, UnsupportedFeature: this host or this user cannot trace at all.
        """
        found = {ioc.pid: ioc for ioc in self._finder.find() if self._is_wanted(ioc)}
        for pid, traced in self._traced.items():
            # The finder gives the same object for the same program: exec keeps a process's number and start time.
            if not traced.ending and found.get(pid) is not traced.subject.ioc:
                traced.probes.detach(pid)
                traced.ending = True
        for pid, ioc in found.items():
            if pid in self._traced or ioc.identity in self._refused or not _is_ready(ioc):
                continue
            try:
                self._attach(ioc)
            except DatabaseNotLoaded:
                continue
            except (IocError, PybpfError) as error:
                if not ioc.is_running:
                    continue
                if isinstance(error, (PermissionDenied, UnsupportedFeature)) and not self._traced:
                    raise
                self._refused.add(ioc.identity)
                self._say(IocEventKind.FOUND, ioc.pid, _name_of(ioc), f"not traced: {error}")

    def _is_wanted(self, ioc: Ioc) -> bool:
        if self._wanted is None or str(ioc.pid) in self._wanted:
            return True
        name = _name_of(ioc)
        return name is not None and any(fnmatch.fnmatchcase(name, item) for item in self._wanted)

    def _attach(self, ioc: Ioc) -> None:
        with ExitStack() as undo:
            subject = TracedIoc(undo.enter_context(ioc), self._boot)
            key = layout_key(subject)
            probes = self._probes.get(key)
            if probes is None:
                probes = undo.enter_context(Probes(subject, force=self._force, sizes=self._sizes))
            links = probes.attach(subject)
            undo.pop_all()
        if key not in self._probes:
            self._probes[key] = self._cleanup.enter_context(probes)
        self._traced[ioc.pid] = Traced(subject, ChainBuilder(subject), probes, time.monotonic_ns())
        detail = f"traced by {links[0].kind.value}, {len(links)} functions"
        self._say(IocEventKind.FOUND, ioc.pid, subject.name, detail)

    def _say(self, kind: IocEventKind, pid: int, name: str | None, detail: str) -> None:
        self._waiting.append(IocEvent(time.time_ns(), kind, pid, name, detail))

    def __iter__(self) -> Iterator[TraceEvent]:
        looked = time.monotonic()
        try:
            while not self._stopped:
                yield from self._poll()
                if time.monotonic() - looked >= LOOK_AROUND_S:
                    self.look_around()
                    yield from self._account.losses(self._counts(), time.time_ns())
                    looked = time.monotonic()
                if self._caught_up and not self._stopped:
                    time.sleep(POLL_S)
            self._detach()
            self._caught_up = False
            while not self._caught_up:
                yield from self._poll()
            offset = clock_offset()
            for traced in self._traced.values():
                yield from self._out(traced.builder.flush(offset))
            self._ended = True
            yield from self._account.losses(self._counts(), time.time_ns(), closing=True)
            yield from self._told()
        finally:
            self._settle()

    def _poll(self) -> Iterator[TraceEvent]:
        """What is in the rings, a batch of each, and what else is to be told."""
        yield from self._told()
        ending = [pid for pid, traced in self._traced.items() if traced.ending]
        offset = clock_offset()
        calls, garbage = self._take(BATCH)
        unknown = 0
        for call in calls:
            traced = self._traced.get(call.pid)
            if traced is None:
                unknown += 1
            elif call.root < traced.since:
                self._early += 1
            else:
                yield from self._out(traced.builder.add(call, offset))
        now = time.time_ns()
        if garbage:
            yield self._account.garbage(garbage, now)
        if unknown:
            yield self._account.strangers(unknown, now)
        for pid in ending if self._caught_up else ():
            traced = self._traced.pop(pid)
            yield from self._out(traced.builder.flush(offset))
            traced.subject.ioc.close()
            self._say(IocEventKind.EXITED, pid, traced.subject.name, "no longer traced")

    def _told(self) -> Iterator[TraceEvent]:
        waiting, self._waiting = self._waiting, []
        yield from waiting

    def _take(self, limit: int) -> tuple[list[RawCall], int]:
        calls: list[RawCall] = []
        garbage = 0
        self._caught_up = True
        for probes in self._probes.values():
            taken, bad = probes.poll(calls.append, limit)
            garbage += bad
            self._caught_up &= taken < limit
        self._account.receive(len(calls))
        return calls, garbage

    def _out(self, chains: Iterator[Built]) -> Iterator[Chain]:
        for chain, calls in chains:
            self._account.deliver(calls)
            yield chain

    def _detach(self) -> None:
        for pid, traced in self._traced.items():
            traced.probes.detach(pid)

    def _settle(self) -> None:
        """Account for what nobody takes any more, when the iteration was left before its end."""
        if self._ended:
            return
        self._ended = True
        self._detach()
        self._caught_up = False
        while not self._caught_up:
            _, garbage = self._take(BATCH)
            if garbage:
                self._account.garbage(garbage, time.time_ns())
        self._account.losses(self._counts(), time.time_ns(), closing=True)

    def _counts(self) -> ProbeCounts:
        total = ProbeCounts()
        for probes in self._probes.values():
            total += probes.counts()
        return total

    def close(self) -> None:
        """Detach from every IOC; they go on as before."""
        try:
            self._settle()
        finally:
            for traced in self._traced.values():
                traced.subject.ioc.close()
            self._traced.clear()
            self._cleanup.close()
            self._probes.clear()

    def __enter__(self) -> Self:
        try:
            require_uprobes()
            self.look_around()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _name_of(ioc: Ioc) -> str | None:
    with ioc:
        try:
            return ioc.name
        except IocError:
            return None


def _is_ready(ioc: Ioc) -> bool:
    with ioc:
        try:
            return ioc.is_initialized is not False
        except IocError:
            return False


def trace_processing(iocs: Sequence[str | int] | None = None, *, force: UprobeMethod | None = None) -> TraceSource:
    """Trace the IOCs of this host while the returned context manager is open::

        with trace_processing() as chains:
            for event in chains:
                ...

    Yields :class:`~epicsmon.events.Chain`, :class:`~epicsmon.events.Gap` and :class:`~epicsmon.events.IocEvent`.
    ``iocs`` limits it to IOCs by process id or by a glob on their names; IOCs that start later are attached to within
    two seconds. ``force`` names one way of attaching, for tests.

    Raises:
        PermissionDenied: CAP_BPF, CAP_PERFMON or CAP_SYS_PTRACE is missing.
        UnsupportedFeature: this kernel has no uprobes for BPF.
    """
    return TraceSource(iocs, force=force)

"""Tracing the IOCs of this host: find them, attach, give chains; follow IOCs that come and go."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Union

from epicsmon.counters import Counters
from epicsmon.events import Chain, Gap, IocEvent, IocEventKind, Stage
from epicsmon.ioc import IocError, IocFinder
from epicsmon.trace.builder import ChainBuilder
from epicsmon.trace.identity import boot_id
from epicsmon.trace.probes import ProbeCounts, Probes, layout_key
from epicsmon.trace.subject import TracedIoc
from pybpf.errors import PermissionDenied, PybpfError, UnsupportedFeature

if TYPE_CHECKING:
    from epicsmon.ioc import Ioc
    from epicsmon.trace.calls import RawCall
    from pybpf.links import UprobeMethod

POLL_S = 0.02
"""The programs do not wake the reader, which is four times cheaper for the IOC; it looks this often."""
LOOK_AROUND_S = 2.0
"""How often new and ended IOCs are looked for, and losses in the kernel counted."""

TraceEvent = Union[Chain, Gap, IocEvent]


class TraceSource:
    """Chains of all traced IOCs, as an iterator; see :func:`trace_processing`."""

    def __init__(self, iocs: Sequence[str | int] | None = None, *, force: UprobeMethod | None = None) -> None:
        self.counters = Counters()
        """In calls: seen by the probes, delivered as spans, lost in between; settled when the iteration ends."""
        self._wanted = [str(item) for item in iocs] if iocs else None
        self._force = force
        self._finder = IocFinder()
        self._boot = boot_id()
        self._cleanup = ExitStack()
        self._probes: dict[tuple[int, int, int], Probes] = {}
        self._traced: dict[int, tuple[TracedIoc, ChainBuilder, Probes]] = {}
        self._refused: set[tuple[int, int]] = set()
        self._reported = ProbeCounts()
        self._garbage = 0
        self._received = 0
        self._stopped = False
        self._waiting: list[TraceEvent] = []

    @property
    def traced(self) -> tuple[TracedIoc, ...]:
        """The IOCs that are traced now."""
        return tuple(subject for subject, _, _ in self._traced.values())

    def stop(self) -> None:
        """End the iteration after what was already received."""
        self._stopped = True

    def look_around(self) -> None:
        """Attach to IOCs that are new, forget those that ended.

        Raises:
            PermissionDenied, UnsupportedFeature: this host or this user cannot trace at all.
        """
        found = {ioc.pid: ioc for ioc in self._finder.find() if self._is_wanted(ioc)}
        for pid in [pid for pid in self._traced if not self._same(pid, found.get(pid))]:
            self._forget(pid)
        for pid, ioc in found.items():
            identity = (pid, ioc.identity.start_ticks)
            if pid in self._traced or identity in self._refused or ioc.is_initialized is False:
                continue
            try:
                self._attach(ioc)
            except (PermissionDenied, UnsupportedFeature):
                raise
            except (IocError, PybpfError) as error:
                self._refused.add(identity)
                self._say(IocEventKind.FOUND, ioc, f"not traced: {error}")

    def _is_wanted(self, ioc: Ioc) -> bool:
        if self._wanted is None:
            return True
        return str(ioc.pid) in self._wanted or any(fnmatch.fnmatchcase(ioc.name, item) for item in self._wanted)

    def _same(self, pid: int, ioc: Ioc | None) -> bool:
        return ioc is not None and ioc.identity == self._traced[pid][0].ioc.identity

    def _attach(self, ioc: Ioc) -> None:
        with ExitStack() as undo:
            subject = TracedIoc(undo.enter_context(ioc), self._boot)
            key = layout_key(subject)
            probes = self._probes.get(key)
            if probes is None:
                probes = undo.enter_context(Probes(subject, force=self._force))
            links = probes.attach(subject)
            undo.pop_all()
        if key not in self._probes:
            self._probes[key] = self._cleanup.enter_context(probes)
        self._traced[ioc.pid] = (subject, ChainBuilder(subject), probes)
        self._say(IocEventKind.FOUND, ioc, f"traced by {links[0].kind.value}, {len(links)} functions")

    def _forget(self, pid: int) -> None:
        subject, builder, probes = self._traced.pop(pid)
        probes.detach(pid)
        self._waiting.extend(builder.flush(clock_offset()))
        self._say(IocEventKind.EXITED, subject.ioc, "no longer traced")
        subject.ioc.close()

    def _say(self, kind: IocEventKind, ioc: Ioc, detail: str) -> None:
        try:
            name: str | None = ioc.name
        except IocError:
            name = None
        self._waiting.append(IocEvent(time.time_ns(), kind, ioc.pid, name, detail))

    def __iter__(self) -> Iterator[TraceEvent]:
        looked = time.monotonic()
        while not self._stopped:
            yield from self._poll()
            if time.monotonic() - looked >= LOOK_AROUND_S:
                self.look_around()
                yield from self._losses()
                looked = time.monotonic()
            if not self._stopped:
                self._wait()
        yield from self._finish()

    def _wait(self) -> None:
        time.sleep(POLL_S)

    def _poll(self) -> Iterator[TraceEvent]:
        offset = clock_offset()
        calls: list[RawCall] = []
        for probes in self._probes.values():
            _, bad = probes.poll(calls.append)
            self._garbage += bad
        self._received += len(calls)
        for call in calls:
            traced = self._traced.get(call.pid)
            if traced is not None:
                yield from traced[1].add(call, offset)
        waiting, self._waiting = self._waiting, []
        yield from waiting

    def _finish(self) -> Iterator[TraceEvent]:
        for pid, (_, _, probes) in self._traced.items():
            probes.detach(pid)
        yield from self._poll()
        offset = clock_offset()
        for _, builder, _ in self._traced.values():
            yield from builder.flush(offset)
        yield from self._losses()

    def _losses(self) -> Iterator[Gap]:
        counts = self._counts()
        now = time.time_ns()
        full = counts.ring_full - self._reported.ring_full
        other = counts.lost - self._reported.lost - full
        if full:
            yield Gap(now, Stage.RING, full, "calls made while the ring was full: the reader was too slow")
        if other:
            yield Gap(now, Stage.SOURCE, other, "calls nested too deep, or left without a return")
        if self._garbage:
            yield Gap(now, Stage.PARSER, self._garbage, "events that could not be read")
            self._received += self._garbage
            self.counters.lost += self._garbage
            self._garbage = 0
        self._reported = counts
        self.counters.seen = self._received + counts.lost
        self.counters.lost = counts.lost + self.counters.seen - self._received - counts.lost
        self.counters.delivered = self.counters.seen - self.counters.lost

    def _counts(self) -> ProbeCounts:
        total = [0] * 6
        for probes in self._probes.values():
            counted = probes.counts()
            numbers = (
                counted.seen,
                counted.ring_full,
                counted.too_deep,
                counted.abandoned,
                counted.open,
                counted.untracked,
            )
            total = [before + number for before, number in zip(total, numbers)]
        return ProbeCounts(*total)

    def close(self) -> None:
        """Detach from every IOC; they go on as before."""
        for subject, _, _ in self._traced.values():
            subject.ioc.close()
        self._traced.clear()
        self._cleanup.close()
        self._probes.clear()

    def __enter__(self) -> TraceSource:  # noqa: PYI034 - typing.Self is 3.11
        try:
            self.look_around()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def clock_offset() -> int:
    """What takes CLOCK_MONOTONIC, the programs' clock, to the epoch, in ns."""
    return time.time_ns() - time.monotonic_ns()


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

"""Accounting for calls: what the probes saw, against what came out as spans and what was lost on the way."""

from __future__ import annotations

from epicsmon.counters import Counters
from epicsmon.events import Gap, Stage
from epicsmon.trace.probes import ProbeCounts


class Account:
    """The calls of a run, counted at both ends: ``seen`` by the programs in the kernel, the others where they end up.

    So ``counters.balanced`` is a finding. It holds once the run is closed; before, calls are under way: open, in the
    ring, or waiting for their root.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self._told = ProbeCounts()
        self._received = 0
        self._garbage = 0
        self._strangers = 0

    def receive(self, calls: int) -> None:
        """So many calls came out of the ring."""
        self._received += calls

    def deliver(self, calls: int) -> None:
        """So many calls went out in a chain."""
        self.counters.delivered += calls

    def garbage(self, records: int, now_ns: int) -> Gap:
        """So many records of the ring could not be read."""
        self._garbage += records
        return Gap(now_ns, Stage.PARSER, records, "events that could not be read")

    def strangers(self, calls: int, now_ns: int) -> Gap:
        """So many calls were of processes that are not traced."""
        self._strangers += calls
        return Gap(now_ns, Stage.SOURCE, calls, "calls of a process that is not known")

    def losses(self, counted: ProbeCounts, now_ns: int, *, closing: bool = False) -> list[Gap]:
        """Take in what the programs counted; gaps for what was lost since the last time.

        ``closing``: nothing will return any more, so calls that are still open are lost too.
        """
        told, self._told = self._told, counted
        still_open = counted.open if closing else 0
        self.counters.seen = counted.seen
        self.counters.lost = counted.lost + still_open + self._garbage + self._strangers
        if closing:
            self.counters.filtered = self._received - self._strangers - self.counters.delivered
        found = (
            (Stage.RING, counted.ring_full - told.ring_full, "calls made while the ring was full: a slow reader"),
            (Stage.SOURCE, counted.too_deep - told.too_deep, "calls nested deeper than the kernel follows"),
            (Stage.SOURCE, counted.abandoned - told.abandoned, "calls left without a return"),
            (Stage.SOURCE, counted.untracked - told.untracked, "calls in more threads than can be followed"),
            (Stage.SOURCE, still_open, "calls that had not returned when their tracing ended"),
        )
        return [Gap(now_ns, stage, lost, detail) for stage, lost, detail in found if lost > 0]

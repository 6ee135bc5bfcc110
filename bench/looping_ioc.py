"""A real IOC that processes a chain of 20 calc records in a loop at C speed and times it. Obeys lines on stdin.

The loop is Base's own: ``epicsAtThreadExit(dbProcess, head)`` queues one call, ``epicsExitCallAtThreadExits()`` walks
the queue and calls each. So no Python runs between two dbProcess calls and no compiler is needed. The walk itself (one
list node and one free() per chain of 20) is about 0.6 ns per dbProcess; ``walk`` measures it with a function of no
effect.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
import time
from pathlib import Path

from epicsmon.demo.softioc import SoftIoc

LENGTH = 20


def chain_database(length: int = LENGTH) -> str:
    """Return a database of ``length`` calc records: the first counts, each of the others adds 1 to the one before."""
    records = []
    for n in range(length):
        source = f'field(INPA, "bench:{n - 1}") field(CALC, "A+1")' if n else 'field(CALC, "VAL+1")'
        link = f'field(FLNK, "bench:{n + 1}")' if n + 1 < length else ""
        records.append(f'record(calc, "bench:{n}") {{ {source} {link} }}\n')
    return "".join(records)


class Loop:
    """The loop of one IOC. Times are of the monotonic clock, in nanoseconds."""

    def __init__(self, ioc: SoftIoc) -> None:
        self._queue = ioc.com.epicsAtThreadExit
        self._run = ioc.com.epicsExitCallAtThreadExits
        self._lock, self._unlock = ioc.core.dbScanLock, ioc.core.dbScanUnlock
        self._process = ctypes.cast(ioc.core.dbProcess, ctypes.c_void_p)
        # Any function of one argument without effect: the overhead of the walk alone.
        self._idle = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p)
        head, counter = ioc.address("bench:0.VAL")
        _, last = ioc.address(f"bench:{LENGTH - 1}.VAL")
        self._head = ctypes.c_void_p(head)
        self._counter = ctypes.c_double.from_address(counter)
        self._last = ctypes.c_double.from_address(last)

    def chains(self, number: int) -> int:
        """Process the chain ``number`` times under one dbScanLock; return the nanoseconds it took."""
        before = self._counter.value
        elapsed = self._timed(self._process, number)
        processed = self._counter.value - before
        if processed != number or self._last.value != self._counter.value + LENGTH - 1:
            raise RuntimeError(f"{number} chains asked for, {processed} processed, last record at {self._last.value}")
        return elapsed

    def walk(self, number: int) -> int:
        """The same loop around a function that does nothing."""
        return self._timed(self._idle, number)

    def _timed(self, function: ctypes.c_void_p, number: int) -> int:
        for _ in range(number):
            self._queue(function, self._head)
        self._lock(self._head)
        before = time.perf_counter_ns()
        self._run()
        after = time.perf_counter_ns()
        self._unlock(self._head)
        return after - before


def main() -> None:
    """Start the IOC, then answer each line ``chains N`` or ``walk N`` with one line of JSON."""
    ioc = SoftIoc(Path(sys.argv[1]))
    with tempfile.NamedTemporaryFile("w", suffix=".db") as database:
        database.write(chain_database())
        database.flush()
        ioc.start([(database.name, "")])
    loop = Loop(ioc)
    jobs = {"chains": loop.chains, "walk": loop.walk}
    print("READY", flush=True)
    for line in iter(sys.stdin.readline, ""):
        job, _, number = line.strip().partition(" ")
        print(json.dumps({"ns": jobs[job](int(number))}), flush=True)
    ioc.exit()


if __name__ == "__main__":
    main()

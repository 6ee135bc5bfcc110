"""A histogram of how long a function takes in one process.

``sudo python examples/latency_histogram.py PID LIBRARY FUNCTION [SECONDS]``
"""

from __future__ import annotations

import sys
import time

from pybpf.hooks import uprobe_session
from pybpf.lang import Registers, get_current_pid_tgid, ktime_get_ns, session_is_return, u64
from pybpf.maps import Array, HashMap
from pybpf.object import BpfObject


class Latency(BpfObject):
    """Start times of open calls by thread, and a count for each power of two of nanoseconds."""

    started = HashMap(key=u64, value=u64, max_entries=4096)
    histogram = Array(value=u64, max_entries=64)

    @uprobe_session
    def function(self, ctx: Registers) -> int:
        """Entry and return of the function."""
        thread = get_current_pid_tgid()
        if not session_is_return():
            self.started[thread] = ktime_get_ns()
            return 0
        start = self.started.lookup(thread)
        if start is not None:
            self.histogram[log2(ktime_get_ns() - start)] += 1
        return 0


def log2(value: int) -> int:
    """The logarithm, rounded down; compiled into the program."""
    result = 0
    while value > 1 and result < 63:
        value >>= 1
        result += 1
    return result


pid, library, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
with Latency().load() as latency, latency.function.attach(library, name, pid=pid):
    time.sleep(float(sys.argv[4]) if len(sys.argv) > 4 else 5)
    counts = list(latency.histogram.values())
    for power, count in enumerate(counts):
        if count:
            print(f"{1 << power:>12} ns .. {(2 << power) - 1:<12} {count:>8}  {'#' * (count * 40 // max(counts))}")

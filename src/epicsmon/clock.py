"""From the programs' clock to the time of day."""

from __future__ import annotations

import time

_TRIES = 5


def clock_offset() -> int:
    """What takes CLOCK_MONOTONIC, the programs' clock, to the Unix epoch, in ns.

    The two clocks cannot be read at once: of a few tries the one that took the least time counts, so that it does no
    harm when this thread loses its CPU in between.
    """
    best, offset = 1 << 62, 0
    for _ in range(_TRIES):
        before = time.monotonic_ns()
        now = time.time_ns()
        after = time.monotonic_ns()
        if after - before < best:
            best, offset = after - before, now - (before + after) // 2
    return offset

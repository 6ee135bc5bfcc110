"""Ids of traces and spans: computed from what a call is, never drawn, so that nothing can collide by chance.

A call is known by (boot id, pid, start time of the process, thread, start of the call): no two calls of one boot share
it. The start is the one that the probe measured: two tracers that watch one call measure, and so name it, differently.
Ids are BLAKE2b of it, 64 bits for spans and 128 for traces, never 0 (W3C Trace Context, section 3.2.2: all zeros is
invalid).
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from pathlib import Path

_CALL = struct.Struct("<IQ")


def boot_id(path: str = "/proc/sys/kernel/random/boot_id") -> str:
    """The kernel's name for this boot."""
    return Path(path).read_text(encoding="ascii").strip()


class CallIds:
    """The ids of the calls of one process."""

    def __init__(self, boot: str, pid: int, start_ticks: int) -> None:
        """``start_ticks`` is the start time of the process in /proc/PID/stat, in clock ticks."""
        prefix = f"{boot} {pid} {start_ticks}".encode()
        self._span = blake2b(prefix, digest_size=8, person=b"epicsmon.span")
        self._trace = blake2b(prefix, digest_size=16, person=b"epicsmon.trace")

    def span(self, tid: int, start: int) -> int:
        """The id of the call that began in thread ``tid`` at ``start`` (CLOCK_MONOTONIC, ns)."""
        state = self._span.copy()
        state.update(_CALL.pack(tid, start))
        return int.from_bytes(state.digest(), "big") or 1

    def trace(self, tid: int, root: int) -> int:
        """The id of the chain whose outermost call began in thread ``tid`` at ``root``."""
        state = self._trace.copy()
        state.update(_CALL.pack(tid, root))
        return int.from_bytes(state.digest(), "big") or 1

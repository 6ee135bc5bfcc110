"""Puts, or monitor updates, at a steady rate between two sockets of its own, on loopback: all of them are known.

``python -m bench.put_traffic KIND RATE SECONDS PER_SEGMENT`` waits for a line on stdin, then puts 0, 1, 2, ... and
prints ``{"puts": N, "updates": M, "seconds": S}``. KIND is ``puts``, or ``updates`` with one put a second beside them.
Both ends are in one thread: ends that do next to nothing leave the CPU to the put log, which is what is measured.
"""

from __future__ import annotations

import itertools
import json
import struct
import sys
import time

from epicsmon.ca.commands import Command
from epicsmon.ca.dbr import DbrType
from epicsmon.ca.header import SHORT
from tests.support.ca_sockets import Circuit
from tests.support.ca_wire import Conversation

TICK_S = 0.001
MOST_AT_ONCE = 1_000
"""So many without a look at the clock: when the rate is more than this process can do, the time is kept."""
PV = "BENCH:PUT"


def main() -> None:
    """Open the circuit and its channel, wait for the word, send."""
    kind, rate, seconds, per_segment = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    talk = Conversation().begin()
    sid = talk.create(PV, cid=1)
    put = SHORT.pack(Command.WRITE, 8, DbrType.DOUBLE, 1, sid, 1)
    update = SHORT.pack(Command.EVENT_ADD, 8, DbrType.DOUBLE, 1, 1, 1)
    header, of_client = (put, True) if kind == "puts" else (update, False)
    with Circuit() as circuit:
        print("READY", flush=True)
        sys.stdin.readline()
        circuit.play(talk, itertools.repeat(1 << 20))
        begun = time.monotonic()
        done = beside = 0
        while (elapsed := time.monotonic() - begun) < seconds:
            due = min(int(elapsed * rate), done + MOST_AT_ONCE)
            while done < due:
                number = min(per_segment, due - done)
                circuit.say(of_client, b"".join(header + struct.pack(">d", n) for n in range(done, done + number)))
                done += number
            if not of_client and beside < elapsed:
                circuit.say(True, put + struct.pack(">d", beside))
                beside += 1
            time.sleep(TICK_S)
        counts = {"puts": done, "updates": 0} if of_client else {"puts": beside, "updates": done}
        print(json.dumps({**counts, "seconds": elapsed}), flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()

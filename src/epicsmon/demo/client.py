"""A CA client of the demo: puts like an operator or like an automation script, and keeps its own log of what it put.

Run as ``python -m epicsmon.demo.client operator --prefix DEMO:``; one JSON line on stdout per put; ends with stdin.
"""

from __future__ import annotations

import argparse
import json
import math
import select
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from epicsmon.demo.libca import CaClient, Dbr
from epicsmon.demo.softioc import installed_home

PERIOD_S = 0.25


@dataclass(frozen=True)
class Put:
    """One put that a client is to make."""

    pv: str
    dbr: Dbr
    values: Sequence[float] | str
    notify: bool = False


def operator() -> Iterator[Put]:
    """Ramp the magnet up and down, with a note now and then; nothing is awaited."""
    for step in count():
        yield Put("Magnet:CurrentSet", Dbr.DOUBLE, (round(200 + 199 * math.sin(step / 5), 3),))
        if step % 4 == 3:
            yield Put("Operator:Note", Dbr.STRING, f"step {step}: looks good")
        if step % 8 == 5:
            yield Put("Mode", Dbr.ENUM, (step % 3,))


def automation() -> Iterator[Put]:
    """Move the valve and load profiles, waiting for each completion."""
    for step in count():
        yield Put("Valve:Command", Dbr.ENUM, (step % 2,), notify=True)
        if step % 4 == 1:
            yield Put("Magnet:Profile", Dbr.DOUBLE, tuple(math.sin((step + i) / 8) for i in range(64)), notify=True)


ROLES = {"operator": operator, "automation": automation}


def main() -> None:
    """Put until stdin ends."""
    parser = argparse.ArgumentParser(description="A CA client of the epicsmon demo; ends with its stdin.")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--period", type=float, default=PERIOD_S, help="seconds between puts")
    parser.add_argument("--home", type=Path, help="folder with lib/ (default: installed epicscorelibs)")
    options = parser.parse_args()

    with CaClient(options.home or installed_home()) as client:
        for put in ROLES[options.role]():
            pv = options.prefix + put.pv
            done = None
            if put.notify:
                done = client.put_notify(pv, put.dbr, put.values)
            else:
                client.put(pv, put.dbr, put.values)
            print(json.dumps({"pv": pv, "values": put.values, "notify": put.notify, "done": done}), flush=True)
            ended, _, _ = select.select([sys.stdin], [], [], options.period)
            if ended:
                break


if __name__ == "__main__":
    main()

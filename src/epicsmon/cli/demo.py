"""`epicsmon demo`: both jobs on a real IOC made for the occasion."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from epicsmon.cli.options import HelpFormatter, seconds

if TYPE_CHECKING:
    from epicsmon.cli.streams import ExitCode, Streams

EXAMPLES = """\
examples:
  epicsmon demo                        about 20 seconds; needs the extra epicsmon[demo]
  epicsmon demo --duration 5 --dir d   shorter; the store and the trace file go to d
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "demo",
        help="watch a real IOC and real clients made for the occasion",
        description="Starts an IOC and clients on the loopback, watches both, and shows what was seen.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--duration", metavar="S", type=seconds, default=20.0, help="how long to watch (20)")
    parser.add_argument("--dir", metavar="DIR", type=Path, help="where the store and the trace file go (a new folder)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, streams: Streams) -> ExitCode:
    """Runs the command; done only when puts and chains were really captured."""
    from epicsmon.cli.streams import ExitCode
    from epicsmon.demo.show import run_demo

    captured = run_demo(folder=options.dir, duration_s=options.duration, out=streams.out, err=streams.err)
    return ExitCode.DONE if captured else ExitCode.FAILED

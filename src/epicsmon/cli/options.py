"""Types and options that several commands share."""

from __future__ import annotations

import argparse
import math


def seconds(text: str) -> float:
    """A positive duration: `10`, `0.5`, `10s`, `5m`, `2h`, `1d`."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    try:
        value = float(number) * unit
    except ValueError:
        value = math.nan
    if not 0 < value <= 1e9:
        raise argparse.ArgumentTypeError(f"no duration like 10, 0.5, 10s, 5m, 2h, 1d: {text!r}")
    return value


def count(text: str) -> int:
    """A whole number from 1 on."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"no whole number from 1 on: {text!r}")
    return value


def zipkin_url(text: str) -> str:
    """The URL of a Zipkin server."""
    from epicsmon.sinks.zipkin import spans_url

    try:
        return spans_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def glob(text: str) -> str:
    """A glob over names, which may begin with `!`; an empty one would match nothing at all."""
    if not text.removeprefix("!"):
        raise argparse.ArgumentTypeError(f"no name or glob like 'LINAC:*': {text!r}")
    return text


def add_globs(parser: argparse.ArgumentParser, what: str) -> None:
    """The positional GLOB arguments."""
    parser.add_argument(
        "globs",
        metavar="GLOB",
        nargs="*",
        type=glob,
        help=f"only {what} that match one of these; with a leading ! none that match it",
    )


def add_run(parser: argparse.ArgumentParser, what: str) -> None:
    """The options of commands that watch: --json, --count, --duration, --store."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with stable names")
    parser.add_argument("--count", metavar="N", type=count, help=f"end after N {what}")
    parser.add_argument("--duration", metavar="S", type=seconds, help="end after S seconds; also 5m, 2h, 1d")
    parser.add_argument("--store", metavar="FILE", help="also write to this SQLite store; made when it is not there")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that keeps the layout of the examples."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)

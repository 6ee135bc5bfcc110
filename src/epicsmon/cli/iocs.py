"""`epicsmon iocs`: the IOCs that run on this host."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from epicsmon.cli.options import HelpFormatter

if TYPE_CHECKING:
    from epicsmon.cli.streams import ExitCode, Streams
    from epicsmon.ioc import Ioc

EXAMPLES = """\
examples:
  epicsmon iocs                          a line for each IOC
  epicsmon iocs --json | jq -r .name     their names
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "iocs",
        help="which IOCs run on this host",
        description="Finds IOC processes by what they map: no configuration, no beacons, no search.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with stable names")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, streams: Streams) -> ExitCode:
    """Runs the command."""
    from epicsmon.cli.streams import ExitCode
    from epicsmon.cli.table import table
    from epicsmon.ioc import find_iocs

    found = [describe(ioc) for ioc in find_iocs()]
    if options.json:
        for item in found:
            print(json.dumps(item), file=streams.out)
        return ExitCode.DONE
    if not found:
        streams.say("no IOC runs here that this user may look at")
        return ExitCode.DONE
    rows = [["unknown" if item[key] is None else str(item[key]) for key in _COLUMNS] for item in found]
    for line in table([key.upper() for key in _COLUMNS], rows):
        print(line, file=streams.out)
    return ExitCode.DONE


_COLUMNS = ("pid", "name", "base", "records", "library")


def describe(ioc: Ioc) -> dict[str, Any]:
    """What is known of an IOC under stable names; null for what cannot be read."""
    from epicsmon.ioc import IocError
    from pybpf.errors import PybpfError

    with ioc:
        try:
            records: int | None = len(ioc.records())
        except (IocError, PybpfError):
            records = None
        return {
            "pid": ioc.pid,
            "name": ioc.name,
            "base": ioc.base_version,
            "records": records,
            "library": ioc.database_file.path,
            "argv": list(ioc.argv),
            "namespace": ioc.net_namespace,
        }

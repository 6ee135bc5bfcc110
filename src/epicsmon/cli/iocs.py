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

exit codes: 0 done, 3 none was found, but there are processes that may not be looked into
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
    from epicsmon.ioc import IocFinder

    finder = IocFinder()
    found = [describe(ioc) for ioc in finder.find()]
    if options.json:
        for item in found:
            print(json.dumps(item), file=streams.out)
    elif found:
        rows = [["unknown" if item[key] is None else str(item[key]) for key in _COLUMNS] for item in found]
        for line in table([key.upper() for key in _COLUMNS], rows):
            print(line, file=streams.out)
    if finder.not_permitted:
        which = "more IOCs" if found else "IOCs"
        streams.say(
            f"{finder.not_permitted} processes may not be looked into: "
            f"to see whether they are {which}, run it as root or with CAP_SYS_PTRACE"
        )
    elif not found:
        streams.say("no IOC runs here")
    return ExitCode.DONE if found or not finder.not_permitted else ExitCode.NOT_PERMITTED


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

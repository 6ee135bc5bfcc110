"""`epicsmon doctor`: can it run here, and what would it use?"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from epicsmon.cli.options import HelpFormatter

if TYPE_CHECKING:
    from epicsmon.cli.streams import ExitCode, Streams

EXAMPLES = """\
examples:
  epicsmon doctor                  what works here, what does not, and what to do
  epicsmon doctor --json           one JSON object for each check
  epicsmon doctor && epicsmon puts

exit codes: 0 both puts and trace can run here, 3 at least one cannot
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="can it run here, and what would it use",
        description="Tries what the other commands need: privileges, features of the kernel, the IOCs that run here.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with stable names")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, streams: Streams) -> ExitCode:
    """Runs the command."""
    from epicsmon.agent.health import Job, check_host, check_iocs, ready
    from epicsmon.cli.streams import ExitCode
    from epicsmon.cli.table import table
    from epicsmon.ioc import IocFinder

    finder = IocFinder()
    checks = [*check_host(), *check_iocs(finder.find(), finder.not_permitted)]
    if options.json:
        for check in checks:
            print(json.dumps(check.to_json()), file=streams.out)
    else:
        rows = [
            (check.name, check.verdict.value, f"{check.detail}{f' -> {check.hint}' if check.hint else ''}")
            for check in checks
        ]
        for line in table(("CHECK", "VERDICT", "DETAIL"), rows):
            print(line, file=streams.out)
    able = {job: ready(job, checks) for job in Job}
    for job, works in able.items():
        streams.say(f"{job.value} can run here" if works else f"{job.value} cannot run here, see above")
    return ExitCode.DONE if all(able.values()) else ExitCode.NOT_PERMITTED

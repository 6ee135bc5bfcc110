"""The command line: its parser, and what becomes of errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from epicsmon.cli import demo, doctor, iocs, puts, trace
from epicsmon.cli.options import HelpFormatter, glob
from epicsmon.cli.streams import ExitCode, Streams

if TYPE_CHECKING:
    from epicsmon.events import Event

EXAMPLES = """\
examples:
  epicsmon doctor              can it run here, and what would it use?
  epicsmon puts 'LINAC:*'      who put what to which PV
  epicsmon trace HV:RAMP       why did this record process?
  epicsmon iocs                which IOCs run on this host?
  epicsmon COMMAND --help      more examples

exit codes: 0 done, 1 failed, 2 usage, 3 not permitted or not supported here
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    root = argparse.ArgumentParser(
        prog="epicsmon",
        description="Sees inside a running EPICS control system from the outside; needs root.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    root.add_argument("--version", action=ShowVersion, nargs=0, help="show the version and exit")
    commands = root.add_subparsers(metavar="COMMAND")
    for module in (puts, trace, iocs, doctor, demo):
        module.add_parser(commands)
    for command in commands.choices.values():
        command.set_defaults(fail=command.error)
    return root


class ShowVersion(argparse.Action):
    """Prints the version that is installed; looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Ends the process, as argparse's own action does."""
        from importlib.metadata import version

        print(f"epicsmon {version('epicsmon')}")
        parser.exit(ExitCode.DONE)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; globs may stand before, between and after options, unlike argparse's own way."""
    root = parser()
    options, more = root.parse_known_args(arguments)
    if not hasattr(options, "run"):
        root.print_help(sys.stderr)
        root.exit(ExitCode.USAGE, f"\nepicsmon: name a COMMAND{f', not {more[0]}' if more else ''}\n")
    if more and (not hasattr(options, "globs") or any(argument.startswith("-") for argument in more)):
        options.fail(f"unrecognized arguments: {' '.join(more)}")
    try:
        if more:
            options.globs = [*options.globs, *map(glob, more)]
    except argparse.ArgumentTypeError as error:
        options.fail(str(error))
    return options


def run(arguments: Sequence[str], streams: Streams, source: Iterable[Event] | None = None) -> ExitCode:
    """Runs one command line; every error becomes a message on `err` and an exit code.

    `source` takes the place of the live source of the commands that watch. argparse itself writes usage errors to
    sys.stderr and exits with code 2.
    """
    options = parse(arguments)
    try:
        return ExitCode(options.run(options, streams) if source is None else options.run(options, streams, source))
    except KeyboardInterrupt:
        streams.say("interrupted")
        return ExitCode.FAILED
    except BrokenPipeError:
        # The reader has had enough, as of `epicsmon iocs | head -1`.
        return ExitCode.DONE
    except Exception as error:
        code = code_for(error)
        if code is None:
            raise
        from epicsmon.text import escape

        streams.say(escape(message_for(error)))
        return code


def code_for(error: Exception) -> ExitCode | None:
    """The exit code for an error that a person can act on; None for a fault of ours, which keeps its traceback."""
    from epicsmon.sinks.base import SinkError
    from pybpf.errors import PermissionDenied, PybpfError, UnsafeProbeSite, UnsupportedFeature

    if isinstance(error, (PermissionDenied, UnsupportedFeature, UnsafeProbeSite, PermissionError)):
        return ExitCode.NOT_PERMITTED
    return ExitCode.FAILED if isinstance(error, (SinkError, PybpfError, OSError)) else None


def message_for(error: Exception) -> str:
    """What went wrong and what to do about it."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return f"{text}; run it as root (sudo epicsmon ...)" if isinstance(error, PermissionError) else text


def prepare_streams() -> None:
    """A name in another script must not end a put log on a terminal without UTF-8: it is shown as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def run_process() -> int:
    """Runs the command line of this process on its own streams."""
    prepare_streams()
    code = run(sys.argv[1:], Streams(sys.stdout, sys.stderr))
    leave(sys.stdout)
    return code


def leave(stream: TextIO) -> None:
    """Writes what is still buffered; when the reader has gone it goes nowhere, also at the interpreter's own flush."""
    try:
        stream.flush()
    except BrokenPipeError:
        # The recipe of the Python documentation, "Note on SIGPIPE" of the module signal.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)

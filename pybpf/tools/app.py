"""The subcommands put together: arguments, exit codes, errors as messages."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from enum import IntEnum

from pybpf.errors import PermissionDenied, PybpfError, UnsupportedFeature
from pybpf.lang import CompileError
from pybpf.tools import check, dis, features, links, maps, progs
from pybpf.tools.objects import NotLoadable


class ExitCode(IntEnum):
    """What the process says at its end."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_PERMITTED = 3
    """Not permitted, or not supported here; the message says what to do."""


_EPILOG = """\
exit codes: 0 done, 1 failed, 2 usage, 3 not permitted or not supported here

examples:
  python -m pybpf check my_programs.py     compile it and say what it needs
  python -m pybpf dis my_programs.py       its instructions, under the lines they come from
  sudo python -m pybpf features            what this kernel can do
  sudo python -m pybpf progs --watch 5     which programs run how often, and for how long
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m pybpf",
        description="Look at BPF programs: your own before they are loaded, and everything in the kernel.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for module in (check, dis, features, progs, maps, links):
        module.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. A wrong command line ends in SystemExit with 2."""
    options = parser().parse_args(arguments)
    try:
        code = int(options.run(options, sys.stdout))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return ExitCode.FAILED
    except BrokenPipeError:
        # The reader has had enough; nothing may be left for the interpreter's own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except (PermissionDenied, UnsupportedFeature) as error:
        return _say(error, ExitCode.NOT_PERMITTED)
    except (PybpfError, CompileError, NotLoadable, OSError) as error:
        return _say(error, ExitCode.FAILED)


def _say(error: Exception, code: ExitCode) -> ExitCode:
    print(f"python -m pybpf: {error}", file=sys.stderr)
    return code

"""docs/pybpf/tools.md shows what its commands print."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pybpf.tools.app import parser
from tests.support.documented import ROOT, Command, commands_of

COMMANDS = commands_of("docs/pybpf/tools.md")


@pytest.mark.parametrize("command", [each for each in COMMANDS if not each.privileged], ids=lambda each: each.line)
def test_a_command_prints_what_the_page_says(command: Command) -> None:
    program, *arguments = command.words
    assert program == "python"
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if command.output is not None:
        # How many instructions a compiler makes of a line is its own affair.
        assert without_counts(done.stdout) == without_counts(command.output)


def without_counts(text: str) -> str:
    return re.sub(r"^(\s+(?:instructions|stack)\s+)\d+", r"\1N", text, flags=re.MULTILINE)


def test_the_page_shows_every_command() -> None:
    shown = {command.words[3] for command in COMMANDS}
    assert shown == {"check", "dis", "features", "maps", "progs", "links"}
    assert all(name in parser().format_help() for name in shown)

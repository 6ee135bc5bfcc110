"""The commands of docs/pybpf/tools.md that look into the kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.documented import ROOT, Command, commands_of


@pytest.mark.parametrize(
    "command", [each for each in commands_of("docs/pybpf/tools.md") if each.privileged], ids=lambda each: each.line
)
def test_a_command_runs(command: Command) -> None:
    done = subprocess.run([sys.executable, *command.words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout

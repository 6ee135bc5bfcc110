"""docs/pybpf/vm.md: its snippets, in their order, and its command."""

from __future__ import annotations

import shlex
import subprocess
import sys

from tests.support.documented import code_of, commands_of
from tests.support.snippets import module_of

PAGE = "docs/pybpf/vm.md"


def test_the_snippets_run() -> None:
    snippets = code_of(PAGE)
    assert len(snippets) == 4
    # The programs among them are compiled from their source, which has to be one text for that.
    with module_of("\n".join(snippets)) as module:
        assert module.packets.by_protocol[6] == 2


def test_the_command_prints_what_the_page_says() -> None:
    (command,) = commands_of(PAGE)
    words = shlex.split(command.line)
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=True)
    assert done.stdout == command.output

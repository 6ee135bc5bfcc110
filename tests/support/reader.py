"""A reader who types what stands on a page, beside a running demo: the commands and the programs, in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from epicsmon.demo.system import DemoSystem
from tests.support.documented import ROOT, Block, Command
from tests.support.epics import EpicsLibraries

PATIENCE_S = 20.0
"""A command that would go on for longer than a reader waits shows something in this time; then comes Ctrl-C."""
RETRY_S = 1.2
LIMIT_S = 60.0
_WATCHES = re.compile(r"^[^#]*\bepicsmon (puts|trace)\b(?!.* (--count|--help|--version|--duration \d+s))")


@dataclass
class Reader:
    """Works in ``folder``; ``replace`` says what to type instead of a piece of text that stands on the page."""

    folder: Path
    replace: Mapping[str, str] = field(default_factory=dict)
    meanwhile: Callable[[], object] = lambda: None
    """Makes something happen that a command which watches can show."""
    said: str = ""
    """What the last command or program printed."""

    def read(self, block: Block) -> None:
        """Do what a block says; AssertionError, with the place, when it does not go as it says."""
        if block.language == "sh":
            for command in block.commands():
                self.type(command)
        elif block.language == "python":
            program = self.folder / "program.py"
            program.write_text(self._typed(block.text))
            self._run(block.place, f"{sys.executable} {program}", 0)

    def type(self, command: Command) -> None:
        """Type one command line."""
        self._run(command.place, self._typed(command.line), command.exit_code)

    def _typed(self, text: str) -> str:
        for written, typed in self.replace.items():
            text = text.replace(written, typed)
        return text

    def _run(self, place: str, line: str, exit_code: int) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        output = self.folder / "output"
        with output.open("w+") as stream:
            process = subprocess.Popen(
                ["bash", "-c", f"set -o pipefail\n{line}"],
                cwd=self.folder,
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if exit_code == 0 and _WATCHES.match(line):
                    self._await_output(process, output)
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGINT)
                process.wait(LIMIT_S)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        said = output.read_text(errors="replace")
        assert process.returncode == exit_code, f"{place}: {line}\nended with {process.returncode}:\n{said}"
        assert "Traceback" not in said, f"{place}: {line}\n{said}"
        self.said = said

    def _await_output(self, process: subprocess.Popen[bytes], output: Path) -> None:
        deadline = time.monotonic() + PATIENCE_S
        again = time.monotonic() + RETRY_S / 2
        while process.poll() is None and output.stat().st_size == 0:
            time.sleep(0.02)
            if time.monotonic() > again:
                self.meanwhile()
                again = time.monotonic() + RETRY_S
            assert time.monotonic() < deadline, f"{process.args!r} shows nothing"


@contextmanager
def demo_beside(folder: Path) -> Iterator[DemoSystem]:
    """The demo's IOC, on libraries of its own, and its clients, in the network namespace of the calling thread."""
    home = EpicsLibraries.copy(folder / "epics").home
    with DemoSystem(folder / "demo", home=home) as system:
        system.start_clients()
        yield system


def reader_beside(system: DemoSystem, folder: Path, **replace: str) -> Reader:
    """A reader who traces that IOC and no other: tests beside this one have theirs."""
    folder.mkdir()
    (folder / "examples").symlink_to(ROOT / "examples")
    one = f"epicsmon trace --ioc {system.ioc_pid}"
    typed = {
        "epicsmon trace --ioc demo": one,
        "epicsmon trace": one,
        f"{one} --ioc {system.ioc_pid}": one,
        'iocs=["demo"]': f"iocs=[{system.ioc_pid}]",
        'select(.name == "demo")': f"select(.pid == {system.ioc_pid})",
    }

    def connect_anew() -> None:
        system.stop_clients()
        system.start_clients()

    return Reader(folder, {**typed, **replace}, connect_anew)

"""Helper processes that answer line by line: started, asked, ended by their own pid, never left behind."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class ProcessFailed(AssertionError):
    """A helper process ended or fell silent; carries what it wrote to stderr."""

    def __init__(self, what: str, stderr: str) -> None:
        super().__init__(f"{what}\n--- its stderr ---\n{stderr}")
        self.stderr = stderr


class LineProcess:
    """A child whose stdout is read line by line with a time limit. Ends when its stdin is closed, at last by SIGKILL.

    setpriv's --pdeathsig takes it down even if the test run itself is killed.
    """

    def __init__(
        self, arguments: Sequence[str | Path], *, env: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> None:
        self.arguments = [str(a) for a in arguments]
        self.log = log
        with log.open("wb") as stderr:
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(env),
                cwd=cwd,
                text=True,
                bufsize=1,
            )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the child (setpriv execs it, so the pid is the program's own)."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the child is alive."""
        return self._popen.poll() is None

    def stderr(self) -> str:
        """Return what the child has written to stderr so far."""
        return self.log.read_text(errors="replace")

    def write_line(self, line: str) -> None:
        """Send one line to the child's stdin."""
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(line + "\n")
            self._popen.stdin.flush()
        except BrokenPipeError:
            raise ProcessFailed(f"{self.arguments} has gone", self.stderr()) from None

    def read_line(self, timeout: float = 20.0) -> str:
        """Return the next line of stdout without its newline; ProcessFailed on its end or after ``timeout`` seconds."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ProcessFailed(f"{self.arguments} said nothing for {timeout} s", self.stderr()) from None
        if line is None:
            self._lines.put(None)
            raise ProcessFailed(f"{self.arguments} ended with {self._popen.wait()}", self.stderr())
        return line

    def read_until(self, last: str, timeout: float = 20.0) -> list[str]:
        """Return the lines before the one that equals ``last``."""
        lines: list[str] = []
        while (line := self.read_line(timeout)) != last:
            lines.append(line)
        return lines

    def drain(self) -> list[str]:
        """Return the lines that have already arrived, without waiting."""
        lines: list[str] = []
        while True:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                return lines
            if line is None:
                self._lines.put(None)
                return lines
            lines.append(line)

    def stop(self, grace: float = 5.0) -> int:
        """Close stdin, wait ``grace`` seconds for the end, then kill; return the exit status."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with suppress(BrokenPipeError):
            self._popen.stdin.close()
        try:
            status = self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            status = self._popen.wait()
        self._reader.join()
        self._popen.stdout.close()
        return status

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


def tcp_circuits(pid: int) -> list[tuple[int, int]]:
    """Return (local port, remote port) of each established TCP connection that ``pid`` owns, from /proc."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    circuits = []
    for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        columns = row.split()
        established = columns[3] == "01"
        if established and columns[9] in inodes:
            circuits.append((int(columns[1].rpartition(":")[2], 16), int(columns[2].rpartition(":")[2], 16)))
    return circuits

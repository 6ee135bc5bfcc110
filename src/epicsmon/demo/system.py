"""The demo's control system: one IOC and two clients on loopback, started and ended together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from epicsmon.demo import softioc
from epicsmon.demo.client import PERIOD_S, ROLES
from pybpf.errors import UnsupportedFeature

PREFIX = "DEMO:"
LOOPBACK = "127.0.0.1"
DATABASE = Path(__file__).with_name("demo.db")


class DemoUnavailable(UnsupportedFeature):
    """The demo cannot run here; ``reason`` says what to install or where to look."""

    def __init__(self, reason: str) -> None:
        super().__init__("epicsmon demo", tried=(reason,))
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class DemoSystem:
    """An IOC named ``demo`` with the records of demo.db and, after ``start_clients``, clients that put to them.

    Files (the IOC's output, each client's own log of puts) go to ``folder``. A context manager.
    """

    def __init__(self, folder: Path, *, home: Path | None = None, start_timeout_s: float = 20.0) -> None:
        if home is None and find_spec("epicscorelibs") is None:
            raise DemoUnavailable("the demo needs a real IOC: pip install 'epicsmon[demo]' (brings epicscorelibs)")
        self.folder = folder
        self.port = free_port()
        self._home = [] if home is None else ["--home", str(home)]
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # By path, not with -m: the IOC's process holds nothing of epicsmon.
            ioc = self._start("ioc", [softioc.__file__, "-d", str(DATABASE), "-m", f"P={PREFIX}", *self._home])
            self.ioc_pid = ioc.pid
            self._await_ioc(ioc, start_timeout_s)
        except BaseException:
            self.close()
            raise

    def start_clients(self, period_s: float = PERIOD_S) -> list[int]:
        """Start the operator and the automation client; return their process ids."""
        options = ["--prefix", PREFIX, "--period", str(period_s), *self._home]
        return [self._start(role, ["-m", "epicsmon.demo.client", role, *options]).pid for role in ROLES]

    def puts_made(self) -> list[dict[str, Any]]:
        """Return what the clients say they have put so far: pv, values, notify, done."""
        made = []
        for role in ROLES:
            log = self.folder / f"{role}.out"
            if log.exists():
                lines = log.read_text().splitlines(keepends=True)
                made += [json.loads(line) for line in lines if line.endswith("\n")]
        return made

    def stop_clients(self) -> None:
        """End the clients and wait for them; the IOC runs on."""
        self._end(self._processes[1:])
        del self._processes[1:]

    def close(self) -> None:
        """End the clients, then the IOC."""
        if self._processes:
            self.stop_clients()
            self._end(self._processes)
            self._processes.clear()

    def __enter__(self) -> DemoSystem:  # noqa: PYI034
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,  # its end is their sign to end, whatever becomes of us
                stdout=out,
                stderr=err,
                env=loopback_environment(self.port),
            )
        self._processes.append(process)
        return process

    def _await_ioc(self, ioc: subprocess.Popen[bytes], timeout_s: float) -> None:
        # Polling a file is enough: this happens once, and takes about half a second.
        tick = threading.Event()
        for _ in range(int(timeout_s / 0.02)):
            if softioc.READY in (self.folder / "ioc.out").read_text(errors="replace"):
                return
            if ioc.poll() is not None:
                break
            tick.wait(0.02)
        said = (self.folder / "ioc.err").read_text(errors="replace").strip()
        raise DemoUnavailable(f"the demo's IOC did not start; it says in {self.folder / 'ioc.err'}: {said}")

    @staticmethod
    def _end(processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Return a port that is free for TCP and UDP on loopback."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((LOOPBACK, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((LOOPBACK, port))
            except OSError:
                continue
            return port


def loopback_environment(port: int) -> dict[str, str]:
    """Return this process's environment with every address of Channel Access on loopback and ``port``."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
    return {
        **env,
        "IOC": "demo",
        "EPICS_CA_ADDR_LIST": f"{LOOPBACK}:{port}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CAS_INTF_ADDR_LIST": LOOPBACK,
    }

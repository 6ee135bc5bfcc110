"""A CA server that is no Base: no libdbCore, nothing to probe; only the wire tells what was put to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.clients import PROGRAMS
from tests.support.epics import epics_environment
from tests.support.netns import free_port
from tests.support.process import LineProcess


class CaprotoIoc:
    """PVs ``<prefix>int, double, string, enum, bytes, wave`` served by caproto on loopback. A context manager."""

    def __init__(self, folder: Path, *, prefix: str = "cap:", port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.prefix = prefix
        self.port = port if port is not None else free_port()
        env = {**epics_environment(self.port), "PYTHONWARNINGS": "ignore"}
        self.process = LineProcess(
            [sys.executable, PROGRAMS / "caproto_server.py", prefix], env=env, log=folder / "caproto-ioc.stderr"
        )
        self.process.read_until("READY")

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self.process.pid

    def next_put(self, timeout: float = 10.0) -> tuple[str, Any]:
        """Return (PV, value) of the next put that the server accepted, in its own words."""
        put = json.loads(self.process.read_line(timeout))
        return put["pv"], put["value"]

    def client_environment(self) -> dict[str, str]:
        """Return the environment in which a client finds this server on loopback."""
        return epics_environment(self.port)

    def stop(self) -> int:
        """End the server; return its exit status."""
        return self.process.stop()

    def __enter__(self) -> CaprotoIoc:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

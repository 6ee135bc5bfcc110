"""Real Channel Access clients, each a process of its own: libca (through pyepics) and caproto.

What they report about themselves (user, host, the ports of their circuits) is the truth to compare put events with.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.epics import EpicsLibraries
from tests.support.process import LineProcess, tcp_circuits

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class PutRecord:
    """What the client knows of its put: epoch nanoseconds just before the call and just after it returned."""

    pv: str
    before_ns: int
    after_ns: int


class CaClient:
    """A client process; subclasses name the program. Lives in the caller's network namespace. A context manager."""

    program: str

    def __init__(self, folder: Path, env: Mapping[str, str], *, user: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        full = {**env, **self.environment(folder), "PYTHONWARNINGS": "ignore"}
        if user is not None:
            full.update(LOGNAME=user, USER=user)
        log = folder / f"{self.program}-{os.getpid()}-{id(self)}.stderr"
        self.process = LineProcess([sys.executable, PROGRAMS / f"{self.program}.py"], env=full, log=log)
        about = json.loads(self.process.read_line())
        self.host: str = about["host"]
        self.user: str | None = about["user"]

    def environment(self, folder: Path) -> dict[str, str]:
        """Return what the program needs beside the EPICS addresses."""
        del folder
        return {}

    @property
    def pid(self) -> int:
        """Process id of the client."""
        return self.process.pid

    def connect(self, *pvs: str) -> None:
        """Create the channels and wait until they are connected."""
        for pv in pvs:
            self._ask(do="connect", pv=pv)

    def put(self, pv: str, value: Any, *, notify: bool = False) -> PutRecord:
        """Put in the channel's native type: CA WRITE, or WRITE_NOTIFY and wait for its completion."""
        return self._record(pv, self._ask(do="put", pv=pv, value=value, notify=notify))

    def put_raw(self, pv: str, dbr_type: int, count: int, data: bytes) -> PutRecord:
        """CA WRITE of ``data`` as DBR type ``dbr_type``: host byte order for libca, network order for caproto."""
        encoded = base64.b64encode(data).decode()
        return self._record(pv, self._ask(do="put_raw", pv=pv, type=dbr_type, count=count, data=encoded))

    def burst(self, pv: str, count: int) -> PutRecord:
        """Put 0, 1, ... ``count`` - 1 as fast as the client can; returns when the server has taken the last."""
        return self._record(pv, self._ask(do="burst", pv=pv, count=count, patience=120.0))

    def get(self, pv: str) -> Any:
        """Return the value of the channel."""
        return self._ask(do="get", pv=pv)["value"]

    def drop(self, pv: str) -> None:
        """Clear the channel (CLEAR_CHANNEL on the wire)."""
        self._ask(do="drop", pv=pv)

    def ports(self, server_port: int) -> list[int]:
        """Return the local ports of this client's circuits to ``server_port``, from /proc."""
        return [local for local, remote in tcp_circuits(self.pid) if remote == server_port]

    def stop(self) -> int:
        """End the client; return its exit status."""
        return self.process.stop()

    def _ask(self, *, patience: float = 20.0, **order: Any) -> dict[str, Any]:
        self.process.write_line(json.dumps(order))
        answer: dict[str, Any] = json.loads(self.process.read_line(patience))
        if "error" in answer:
            raise AssertionError(f"{self.program}: {answer['error']}\n{self.process.stderr()}")
        return answer

    @staticmethod
    def _record(pv: str, answer: dict[str, Any]) -> PutRecord:
        return PutRecord(pv, answer["before_ns"], answer["after_ns"])

    def __enter__(self) -> CaClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class LibcaClient(CaClient):
    """libca of epicscorelibs, own copy (so that uprobes on ca_array_put see only this client), driven by pyepics."""

    program = "libca_client"

    def environment(self, folder: Path) -> dict[str, str]:
        """Point pyepics at a copy of libca of its own."""
        home = folder / "libca"
        libraries = EpicsLibraries(home) if home.is_dir() else EpicsLibraries.copy(home)
        return {"PYEPICS_LIBCA": str(libraries.library("ca")), "LD_LIBRARY_PATH": str(home / "lib")}


class CaprotoClient(CaClient):
    """caproto's threading client: another implementation of the protocol, with a user name of the caller's choice."""

    program = "caproto_client"

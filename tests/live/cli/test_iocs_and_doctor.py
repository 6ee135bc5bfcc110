"""The commands that look at this host, beside a real IOC."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from epicsmon.cli import app
from epicsmon.cli.streams import ExitCode, Streams
from tests.support.epics import RealIoc

RECORDS = 'record(calc, "T:A") { field(FLNK, "T:B") }\nrecord(calc, "T:B") {}\n'


def objects(*arguments: str) -> tuple[ExitCode, list[dict[str, Any]]]:
    out = io.StringIO()
    code = app.run([*arguments, "--json"], Streams(out, io.StringIO()))
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def test_iocs_lists_a_running_ioc(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(RECORDS)
    code, found = objects("iocs")
    (mine,) = (item for item in found if item["pid"] == ioc.pid)
    assert code is ExitCode.DONE
    assert mine["records"] == len(ioc.record_names()) == 2
    assert mine["base"].startswith("7.0.")
    assert "libdbCore" in mine["library"]


def test_iocs_as_a_table(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(RECORDS)
    out = io.StringIO()
    assert app.run(["iocs"], Streams(out, io.StringIO())) is ExitCode.DONE
    head, *rows = out.getvalue().splitlines()
    assert head.split() == ["PID", "NAME", "BASE", "RECORDS", "LIBRARY"]
    assert str(ioc.pid) in [row.split()[0] for row in rows]


def test_doctor_finds_the_ioc_and_what_a_probe_in_it_costs(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(RECORDS)
    code, checks = objects("doctor")
    (mine,) = (check for check in checks if f"(pid {ioc.pid})" in check["check"])
    assert mine["verdict"] in ("ok", "fallback")
    assert "a probe in dbProcess is " in mine["detail"]
    unmet = [c for c in checks if c["verdict"] in ("missing", "unknown") and c["needed_by"]]
    assert (code is ExitCode.DONE) == (not unmet)

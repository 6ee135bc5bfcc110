"""`epicsmon trace --zipkin`: a real IOC's chain comes back from a real Zipkin server, every span under its parent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.epics import RealIoc
from tests.support.zipkin import ZipkinServer

pytestmark = pytest.mark.needs("epics", "uprobes", "zipkin")

# Demand forwards to a fanout of two siblings; one of them writes through a DB link to a record that goes on.
RECORDS = """
record(ao, "Z:Demand") { field(FLNK, "Z:Fan") }
record(fanout, "Z:Fan") { field(LNK1, "Z:First") field(LNK2, "Z:Second") }
record(calc, "Z:First") { field(INPA, "Z:Demand") field(CALC, "A*2") field(FLNK, "Z:Below") }
record(calc, "Z:Below") { field(INPA, "Z:First") field(CALC, "A+1") field(HIGH, "10") field(HSV, "MINOR") }
record(calcout, "Z:Second") { field(INPA, "Z:Demand") field(CALC, "A*3") field(OUT, "Z:Target.VAL PP") }
record(longout, "Z:Target") { field(FLNK, "Z:Last") }
record(stringin, "Z:Last") { field(VAL, "end") }
"""
# record or field -> that of its parent, written down from what the links above mean
PARENTS = {
    "Z:Demand.VAL": None,
    "Z:Demand": "Z:Demand.VAL",
    "Z:Fan": "Z:Demand",
    "Z:First": "Z:Fan",
    "Z:Below": "Z:First",
    "Z:Second": "Z:Fan",
    "Z:Target.VAL": "Z:Second",
    "Z:Target": "Z:Second",
    "Z:Last": "Z:Target",
}


def label(span: dict[str, Any]) -> str:
    tags = span["tags"]
    return f"{tags['epics.record']}.{tags['epics.field']}" if "epics.field" in tags else str(tags["epics.record"])


def test_the_traced_chain_comes_back_with_the_right_parent_of_every_span(
    zipkin: ZipkinServer, make_ioc: Callable[..., RealIoc], tmp_path: Path
) -> None:
    ioc = make_ioc(RECORDS, name="zipkin-ioc")
    command = [sys.executable, "-m", "epicsmon", "trace", "--json", "--count", "1", "--ioc", str(ioc.pid)]
    command += ["--zipkin", zipkin.url, "--duration", "20", "Z:Demand"]
    with zipkin.entered(), (tmp_path / "stderr").open("w+") as errors:
        tracing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert tracing.stdout is not None
        found = json.loads(tracing.stdout.readline())  # says when the IOC is attached to
        assert (found["event"], found["pid"]) == ("ioc", ioc.pid)
        ioc.put("Z:Demand", "6")
        out, _ = tracing.communicate(timeout=30)
    finally:
        tracing.kill()
        tracing.wait()
    assert tracing.returncode == 0, (tmp_path / "stderr").read_text()
    (chain,) = (event for event in map(json.loads, out.splitlines()) if event["event"] == "chain")

    got = zipkin.trace(chain["trace_id"], spans=len(PARENTS))
    names = {span["id"]: label(span) for span in got}
    assert {label(span): names.get(span.get("parentId")) for span in got} == PARENTS
    assert len(got) == len(PARENTS) == len(chain["spans"])
    tags = {label(span): span["tags"] for span in got}
    assert tags["Z:Below"]["epics.value"] == "13.0"
    assert (tags["Z:Below"]["epics.severity"], tags["Z:Below"]["epics.status"]) == ("MINOR", "HIGH")
    assert tags["Z:Target"]["epics.value"] == "18"
    assert all(span["localEndpoint"]["serviceName"] == "zipkin-ioc" for span in got)
    times = {label(span): (span["timestamp"], span["timestamp"] + span["duration"]) for span in got}
    for child, parent in PARENTS.items():
        if parent is not None:  # Zipkin's times are whole microseconds: a child may seem to end one later
            assert times[parent][0] <= times[child][0]
            assert times[child][1] <= times[parent][1] + 1

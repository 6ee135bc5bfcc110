"""Every generation of Base has its own dbCommon and its own numbers of field types; nothing of it is built in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from epicsmon.events import SpanKind, Trigger
from tests.support.clients import CaClient
from tests.support.epics import BASE_VERSIONS, EpicsLibraries, RealIoc
from tests.support.tracing import Tracer, shape_of

DATABASE = """
record(ao, "B:ao") {
    field(OUT, "B:long PP") field(FLNK, "B:fan") field(HIGH, "3") field(HSV, "MINOR") field(PINI, "YES") field(VAL, "1")
}
record(longout, "B:long") { field(HOPR, "9") }
record(fanout, "B:fan") { field(LNK1, "B:calc") field(LNK2, "B:text") }
record(calc, "B:calc") { field(INPA, "B:ao") field(CALC, "A*3") }
record(stringin, "B:text") { field(VAL, "hello") }
record(bi, "B:bi") { field(ZNAM, "Off") field(ONAM, "On") }
record(mbbo, "B:mbbo") { field(ZRST, "zero") field(ONST, "one") field(TWST, "two") }
record(waveform, "B:wave") { field(FTVL, "FLOAT") field(NELM, "4") }
"""


@pytest.mark.parametrize("base_version", BASE_VERSIONS, indirect=True)
def test_chains_values_and_puts_in_every_generation_of_base(
    base_version: str, tmp_path: Path, make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(DATABASE, libraries=EpicsLibraries.copy(tmp_path / "epics", version=base_version))
    client = libca(ioc)
    with Tracer(ioc) as tracer:
        for notify, kind in ((False, SpanKind.PUT_FIELD), (True, SpanKind.PUT_NOTIFY)):
            client.put("B:ao", 4.5, notify=notify)
            chain = tracer.chain("B:ao", kind)
            assert shape_of(chain) == (
                f"{kind.value} B:ao.VAL",
                ("B:ao", ("dbPut B:long.VAL",), ("B:long",), ("B:fan", ("B:calc",), ("B:text",))),
            )
            assert (chain.root.value, chain.root.thread, chain.root.trigger) == (4.5, "CAS-client", Trigger.CA_CLIENT)
            processed = {span.record: span for span in chain.spans if span.kind is SpanKind.PROCESS}
            values = {name: span.value for name, span in processed.items()}
            assert values == {"B:ao": 4.5, "B:long": 4, "B:fan": 0, "B:calc": 13.5, "B:text": "hello"}
            alarms = {name: (span.status, span.severity) for name, span in processed.items()}
            assert alarms["B:ao"] == ("HIGH", "MINOR")
            assert alarms["B:calc"] == ("NO_ALARM", "NO_ALARM")
        seen = len(tracer.events)
        ioc.put("B:bi", "On")
        assert tracer.span("B:bi", after=seen).value == 1
        client.put("B:mbbo", 2)
        assert tracer.span("B:mbbo", after=seen).value == tracer.span("B:mbbo", SpanKind.PUT_FIELD).value == 2
        client.put("B:wave", [1.5, 2.5])
        assert tracer.span("B:wave", SpanKind.PUT_FIELD).value == (1.5, 2.5)
        client.put("B:ao.DESC", "text")
        assert tracer.span("B:ao", SpanKind.PUT_FIELD, after=seen).value == "text"
        assert tracer.finish().lost == 0

"""A real Zipkin server gives back over its own API what the sink sent it."""

from __future__ import annotations

import secrets

import pytest

from epicsmon.sinks.base import SinkError
from epicsmon.sinks.zipkin import ZipkinSink
from tests.support.events import chain
from tests.support.zipkin import ZipkinServer

pytest.importorskip("opentelemetry.exporter.zipkin.proto.http", reason="needs the extra epicsmon[zipkin]")


def test_every_span_comes_back_with_its_parent_and_tags(zipkin: ZipkinServer) -> None:
    sent = chain(trace_id=secrets.randbits(127) + 1, ioc="ioc-HV")
    with zipkin.entered():
        sink = ZipkinSink(zipkin.url)
        sink.open()
        sink.write([sent])
        sink.close()
        trace_id = f"{sent.root.trace_id:032x}"
        got = {item["id"]: item for item in zipkin.trace(trace_id, spans=len(sent.spans))}
    assert sink.counters.accepted == 1
    assert {key: item.get("parentId") for key, item in got.items()} == {
        f"{s.span_id:016x}": None if s.parent_id is None else f"{s.parent_id:016x}" for s in sent.spans
    }
    for span in sent.spans:
        item = got[f"{span.span_id:016x}"]
        assert item["traceId"] == trace_id
        # The server keeps names in lower case; the tags are what they were.
        assert item["name"] == str(span.record).lower()
        assert item["localEndpoint"]["serviceName"] == "ioc-hv"
        assert item["tags"]["epics.ioc"] == "ioc-HV"
        assert item["tags"]["epics.record"] == span.record
        assert item["tags"]["epics.duration_ns"] == str(span.duration_ns)
        assert (item["timestamp"], item["duration"]) == (span.start_ns // 1000, span.duration_ns // 1000)
    assert got[f"{sent.root.span_id:016x}"]["kind"] == "SERVER"


def test_the_server_knows_the_iocs_as_services(zipkin: ZipkinServer) -> None:
    first, second = (chain(secrets.randbits(127) + 1, ioc) for ioc in ("ioc-vac", "ioc-bpm"))
    with zipkin.entered():
        sink = ZipkinSink(zipkin.url)
        sink.open()
        sink.write([first, second])
        sink.close()
        zipkin.trace(f"{second.root.trace_id:032x}", spans=len(second.spans))
        assert {"ioc-vac", "ioc-bpm"} <= set(zipkin.get("services"))


def test_a_path_that_is_not_the_servers_is_a_clear_error(zipkin: ZipkinServer) -> None:
    with zipkin.entered():
        sink = ZipkinSink(f"{zipkin.url}/nowhere")
        sink.open()
        with pytest.raises(SinkError, match="HTTP status 404"):
            sink.write([chain()])
        sink.close()
    assert sink.counters.failed == 1

"""What a Zipkin server is sent: a real HTTP receiver takes it, and the protobuf is read back."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from epicsmon.events import Chain
from epicsmon.sinks.base import SinkError
from epicsmon.sinks.zipkin import ZipkinSink, attributes, spans_url
from tests.support.events import chain, gap, put, span

pytest.importorskip("opentelemetry.exporter.zipkin.proto.http", reason="needs the extra epicsmon[zipkin]")


class Receiver(HTTPServer):
    """Keeps every request; answers with `status`."""

    status = 202

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Any]:
        from opentelemetry.exporter.zipkin.proto.http.v2.gen import zipkin_pb2

        return [s for _, _, body in self.requests for s in zipkin_pb2.ListOfSpans.FromString(body).spans]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"no \x1b[2J!\n")

    def log_message(self, *args: object) -> None:
        """Silence."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def sink(receiver: Receiver) -> Iterator[ZipkinSink]:
    sink = ZipkinSink(receiver.url)
    sink.open()
    yield sink
    sink.close()


def test_a_chain_arrives_with_our_ids_and_every_parent(receiver: Receiver, sink: ZipkinSink) -> None:
    sent = chain(trace_id=0x4BF92F3577B34DA6A3CE929D0E0E4736)
    sink.write([sent])
    path, content_type, _ = receiver.requests[0]
    assert (path, content_type) == ("/api/v2/spans", "application/x-protobuf")
    got = receiver.spans()
    assert {s.trace_id.hex() for s in got} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert [(int.from_bytes(s.id, "big"), int.from_bytes(s.parent_id, "big") or None) for s in got] == [
        (s.span_id, s.parent_id) for s in sent.spans
    ]
    assert [s.name for s in got] == ["HV:SET", "HV:SET", "HV:LIMIT", "HV:RAMP", "HV:STEP"]
    assert [s.timestamp for s in got] == [s.start_ns // 1000 for s in sent.spans]
    assert [s.duration for s in got] == [100, 80, 20, 30, 10]
    assert not any(s.debug for s in got)
    assert sink.counters.accepted == 1


def test_the_service_is_the_ioc_even_when_a_batch_has_several(receiver: Receiver, sink: ZipkinSink) -> None:
    sink.write([chain(1, "ioc-HV"), chain(2, "ioc-vac"), chain(3, "ioc-HV"), gap()])
    services = [(int.from_bytes(s.trace_id, "big"), s.local_endpoint.service_name) for s in receiver.spans()]
    assert set(services) == {(1, "ioc-HV"), (2, "ioc-vac"), (3, "ioc-HV")}
    assert len(receiver.requests) == 2
    assert sink.counters.accepted == 3


def test_tags_and_kinds(receiver: Receiver, sink: ZipkinSink) -> None:
    sink.write([chain(1)])
    root, _, limit, ramp, step = receiver.spans()
    assert dict(root.tags) == {
        "epics.ioc": "ioc-HV",
        "epics.function": "dbPutField",
        "epics.record": "HV:SET",
        "epics.record_type": "calc",
        "epics.field": "VAL",
        "epics.value": "15.0",
        "epics.severity": "NO_ALARM",
        "epics.status": "NO_ALARM",
        "epics.active": "false",
        "epics.trigger": "ca-client",
        "epics.duration_ns": "100000",
        "thread.name": "CAS-client",
        "thread.id": "4712",
        "process.pid": "4711",
        "service.name": "ioc-HV",
    }
    assert (limit.tags["epics.severity"], limit.tags["epics.status"]) == ("MAJOR", "HIHI")
    assert (ramp.tags["epics.active"], step.tags["epics.value"]) == ("true", '"up"')
    assert [s.Kind.Name(s.kind) for s in (root, limit)] == ["SERVER", "SPAN_KIND_UNSPECIFIED"]


def test_what_is_not_known_has_no_tag() -> None:
    known = attributes(span(record=None, record_type=None, thread=None, value=None, status=None, severity=None))
    assert sorted(known) == [
        "epics.active", "epics.duration_ns", "epics.function", "epics.ioc", "process.pid", "thread.id",
    ]  # fmt: skip


def test_a_call_shorter_than_a_microsecond_still_has_a_duration(receiver: Receiver, sink: ZipkinSink) -> None:
    sink.write([Chain((span(duration_ns=300),))])
    (got,) = receiver.spans()
    assert (got.duration, got.tags["epics.duration_ns"]) == (1, "300")


def test_text_that_is_no_utf8_is_sent_as_escapes(receiver: Receiver, sink: ZipkinSink) -> None:
    sink.write([Chain((span(record="HV\udc80", ioc="ioc\udc80"),))])
    (got,) = receiver.spans()
    assert (got.name, got.local_endpoint.service_name) == ("HV\\udc80", "ioc\\udc80")


def test_many_spans_are_sent_in_several_requests(receiver: Receiver, sink: ZipkinSink) -> None:
    sink.write([chain(i) for i in range(1, 1001)])
    assert len(receiver.requests) == 3
    assert len(receiver.spans()) == 5000


def test_a_refusal_is_an_error_with_the_servers_words_made_harmless(receiver: Receiver, sink: ZipkinSink) -> None:
    receiver.status = 404
    with pytest.raises(SinkError, match=r"HTTP status 404: 'no \\x1b\[2J!"):
        sink.write([chain(1), chain(2)])
    assert (sink.counters.accepted, sink.counters.failed) == (0, 2)
    receiver.status = 202
    sink.write([chain(3)])
    assert (sink.counters.accepted, sink.counters.failed) == (1, 2)


def test_a_server_that_is_down_is_a_clear_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        sink = ZipkinSink(f"http://127.0.0.1:{port}")
        sink.open()
        with pytest.raises(
            SinkError, match=rf"zipkin http://127\.0\.0\.1:{port}/api/v2/spans: Connection refused: .*is it running\?"
        ):
            sink.write([chain()])
        sink.close()
    assert (sink.counters.accepted, sink.counters.failed) == (0, 1)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://h:9411", "http://h:9411/api/v2/spans"),
        ("http://h:9411/", "http://h:9411/api/v2/spans"),
        ("https://h/zipkin/api/v2/spans", "https://h/zipkin/api/v2/spans"),
    ],
)
def test_urls(given: str, used: str) -> None:
    assert spans_url(given) == used


@pytest.mark.parametrize("url", ["", "localhost:9411", "ftp://h/", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="no URL like"):
        ZipkinSink(url)


def test_it_takes_chains_only() -> None:
    sink = ZipkinSink("http://h:9411")
    assert sink.takes(chain())
    assert not sink.takes(put())


@pytest.mark.parametrize("module", ["requests", "opentelemetry.exporter.zipkin.proto.http"])
def test_without_the_extra_it_says_what_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SinkError, match=r"is not installed \(pip install 'epicsmon\[zipkin\]'\)"):
        ZipkinSink("http://h:9411").open()

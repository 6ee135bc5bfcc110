"""The live fixtures themselves: each proves, by a second witness, that it is the real thing and isolated."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.clients import CaprotoClient, LibcaClient
from tests.support.epics import BASE_VERSIONS
from tests.support.netns import NetworkNamespace

RECORDS = """
record(calc, "$(P=)first")  { field(CALC, "A*2") field(FLNK, "$(P=)second") }
record(calc, "$(P=)second") { field(CALC, "A+1") field(INPA, "$(P=)first") }
record(ao, "$(P=)setpoint") { field(PREC, "3") field(FLNK, "$(P=)first") }
record(stringout, "$(P=)text") { }
record(waveform, "$(P=)wave") { field(FTVL, "DOUBLE") field(NELM, "1000") }
"""


def mapped_files(pid: int) -> set[str]:
    return {line.split(maxsplit=5)[5] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/" in line}


class TestNetworkNamespace:
    def test_has_loopback_up_and_nothing_else(self, netns):
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
            pass

    def test_is_left_again(self):
        home = os.stat("/proc/thread-self/ns/net").st_ino
        with NetworkNamespace() as namespace:
            with namespace.entered():
                assert os.stat("/proc/thread-self/ns/net").st_ino == namespace.inode != home
            assert os.stat("/proc/thread-self/ns/net").st_ino == home

    def test_hides_the_ports_of_others(self, netns):
        with NetworkNamespace() as other:
            with other.entered():
                server = socket.create_server(("127.0.0.1", 0))
            with server, pytest.raises(ConnectionRefusedError):
                socket.create_connection(server.getsockname(), 5)


class TestRealIoc:
    def test_processes_its_chain_and_says_so(self, make_ioc):
        ioc = make_ioc(RECORDS)
        ioc.put("first.A", "20")
        assert (ioc.get("first"), ioc.get("second")) == ("40", "41")

    def test_lists_its_records_with_macros_expanded(self, make_ioc):
        ioc = make_ioc(RECORDS, macros="P=one:")
        assert sorted(ioc.record_names()) == ["one:first", "one:second", "one:setpoint", "one:text", "one:wave"]

    def test_maps_its_own_copy_of_the_libraries(self, make_ioc):
        one, two = make_ioc(RECORDS), make_ioc(RECORDS)
        for ioc, other in ((one, two), (two, one)):
            mapped = mapped_files(ioc.pid)
            assert str(ioc.libraries.dbcore) in mapped
            assert str(other.libraries.dbcore) not in mapped
        assert one.libraries.dbcore.stat().st_ino != two.libraries.dbcore.stat().st_ino

    def test_is_gone_after_stop(self, make_ioc):
        ioc = make_ioc(RECORDS)
        assert ioc.stop() == 0
        assert not Path(f"/proc/{ioc.pid}").exists()

    @pytest.mark.parametrize("base_version", BASE_VERSIONS, indirect=True)
    def test_runs_every_generation_of_base(self, base_version, epics_libraries, make_ioc):
        ioc = make_ioc(RECORDS, libraries=epics_libraries(base_version))
        ioc.put("setpoint", "1.5")
        assert ioc.get("second") == "1"
        assert base_version in ioc.libraries.dbcore.name or base_version.startswith(ioc.libraries.dbcore.name[13:])


@pytest.mark.parametrize("kind", [LibcaClient, CaprotoClient])
class TestClient:
    def test_put_arrives(self, kind, make_ioc, make_client):
        ioc = make_ioc(RECORDS)
        client = make_client(kind, ioc.client_environment())
        client.put("setpoint", 2.5, notify=True)
        client.put("text", "hello", notify=True)
        client.put("wave", [1.0, 2.0, 3.0], notify=True)
        assert ioc.get("setpoint") == "2.5"
        assert ioc.get("text") == '"hello"'
        assert ioc.get("wave.NORD") == "3"

    def test_put_without_notify_arrives_before_the_next_get(self, kind, make_ioc, make_client):
        ioc = make_ioc(RECORDS)
        client = make_client(kind, ioc.client_environment())
        record = client.put("setpoint", 7)
        assert client.get("setpoint") == 7
        assert record.pv == "setpoint"
        assert record.before_ns <= record.after_ns

    def test_puts_raw_data_of_any_type(self, kind, make_ioc, make_client):
        ioc = make_ioc(RECORDS)
        client = make_client(kind, ioc.client_environment())
        client.put_raw("text", 0, 1, b"raw\0".ljust(40, b"\0"))
        client.get("text")
        assert ioc.get("text") == '"raw"'

    def test_burst_ends_with_its_last_value(self, kind, make_ioc, make_client):
        ioc = make_ioc(RECORDS)
        client = make_client(kind, ioc.client_environment())
        client.burst("setpoint", 200)
        assert ioc.get("setpoint") == "199"

    def test_the_server_knows_its_name_and_port(self, kind, make_ioc, make_client):
        ioc = make_ioc(RECORDS)
        client = make_client(kind, ioc.client_environment(), user="alice")
        client.connect("setpoint")
        (port,) = client.ports(ioc.port)
        report = ioc.shell("casr 2")
        assert f"127.0.0.1:{port}" in report
        assert f"User '{client.user}'" in report
        assert client.host in report

    def test_drops_a_channel(self, kind, make_ioc, make_client):
        ioc = make_ioc(RECORDS)
        client = make_client(kind, ioc.client_environment())
        client.connect("setpoint", "text")
        assert "2 Channels" in ioc.shell("casr 1")
        client.drop("text")
        client.get("setpoint")
        assert "1 Channel\n" in ioc.shell("casr 1")


class TestClientUsesItsOwnLibca:
    def test_libca_is_a_copy(self, make_ioc, libca):
        ioc = make_ioc(RECORDS)
        client = libca(ioc)
        client.connect("first")
        own = [name for name in mapped_files(client.pid) if "/libca.so" in name]
        assert len(own) == 1
        assert str(ioc.libraries.home) not in own[0]

    def test_caproto_has_no_libca(self, make_ioc, caproto):
        client = caproto(make_ioc(RECORDS))
        client.connect("first")
        assert not [name for name in mapped_files(client.pid) if "libca.so" in name]


@pytest.mark.parametrize("kind", [LibcaClient, CaprotoClient])
class TestCaprotoIoc:
    def test_is_no_base(self, kind, caproto_ioc):
        assert not [name for name in mapped_files(caproto_ioc.pid) if "libdbCore" in name or "libCom" in name]

    def test_reports_the_puts_it_accepted(self, kind, caproto_ioc, make_client):
        client = make_client(kind, caproto_ioc.client_environment())
        client.put("cap:int", 5, notify=True)
        assert caproto_ioc.next_put() == ("cap:int", 5)
        client.put("cap:double", 2.5, notify=True)
        assert caproto_ioc.next_put() == ("cap:double", 2.5)


class TestZipkin:
    def test_returns_the_spans_it_was_given(self, zipkin):
        span = {"traceId": "00000000000000010000000000000002", "id": "0000000000000003", "name": "dbprocess"}
        span.update(timestamp=1_700_000_000_000_000, duration=25, localEndpoint={"serviceName": "testioc"})
        child = {**span, "id": "0000000000000004", "parentId": "0000000000000003"}
        assert zipkin.post([span, child]) == 202
        found = {item["id"]: item for item in zipkin.trace(span["traceId"], spans=2)}
        assert found.keys() == {"0000000000000003", "0000000000000004"}
        assert found["0000000000000004"]["parentId"] == "0000000000000003"

    def test_an_unknown_trace_is_empty(self, zipkin):
        assert zipkin.trace("0000000000000000000000000000dead", timeout=0.2) == []

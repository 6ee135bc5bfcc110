"""Real clients put to real servers; a packet socket sees every frame, twice as on any loopback, and names each put."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from epicsmon.ca.dbr import DbrType
from epicsmon.capture.packet import parse_ethernet
from epicsmon.events import Gap, Provenance, PutEvent
from epicsmon.puts import PutTracker
from tests.support.caproto_ioc import CaprotoIoc
from tests.support.clients import CaClient, CaprotoClient, LibcaClient
from tests.support.epics import RealIoc
from tests.support.netns import NetworkNamespace

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33

RECORDS = """
record(ao, "D") { field(PREC, "3") }
record(longout, "L") { }
record(stringout, "S") { }
record(bo, "E") { field(ZNAM, "Off") field(ONAM, "On") }
record(lsi, "LS") { field(SIZV, "400") }
record(waveform, "WD") { field(FTVL, "DOUBLE") field(NELM, "20000") }
record(waveform, "WS") { field(FTVL, "STRING") field(NELM, "10") }
record(waveform, "WC") { field(FTVL, "CHAR") field(NELM, "1000") }
"""


class Tap:
    """Every frame of the namespace, into a tracker."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        self.socket.setblocking(False)
        self.tracker = PutTracker()
        self.gaps: list[Gap] = []
        self.seen: list[PutEvent] = []

    def drain(self) -> None:
        while True:
            try:
                frame = self.socket.recv(1 << 17)
            except BlockingIOError:
                return
            segment = parse_ethernet(time.time_ns(), frame)
            if segment is not None:
                for event in self.tracker.feed(segment):
                    if isinstance(event, PutEvent):
                        self.seen.append(event)
                    else:
                        self.gaps.append(event)

    def puts(self, count: int, patience_s: float = 10.0) -> list[PutEvent]:
        """The puts since the last call: `count` of them, and no more when some time has passed."""
        end = time.monotonic() + patience_s
        while len(self.seen) < count and time.monotonic() < end:
            self.drain()
            time.sleep(0.01)
        time.sleep(0.05)
        self.drain()
        puts, self.seen = self.seen, []
        return puts


@pytest.fixture
def tap(netns: NetworkNamespace) -> Iterator[Tap]:
    tap = Tap()
    yield tap
    tap.socket.close()


@pytest.fixture
def ioc(make_ioc: Callable[..., RealIoc]) -> RealIoc:
    return make_ioc(RECORDS)


PUTS = [
    ("D", 1.5, 1.5),
    ("L", -7, -7),
    ("S", "hello", "hello"),
    ("E", 1, 1),
    ("WD", [float(i) for i in range(20_000)], tuple(float(i) for i in range(20_000))),
    ("D.DESC", "drive", "drive"),
]


@pytest.mark.parametrize("notify", [False, True])
@pytest.mark.parametrize("kind", [LibcaClient, CaprotoClient])
def test_puts_in_the_native_type(
    tap: Tap, ioc: RealIoc, make_client: Callable[..., CaClient], kind: type[CaClient], notify: bool
) -> None:
    client = make_client(kind, ioc.client_environment())
    for pv, value, expected in PUTS:
        record = client.put(pv, value, notify=notify)
        (put,) = tap.puts(1)
        assert (put.pv, put.pv_source, put.notify) == (pv, Provenance.WIRE, notify)
        assert put.value == expected
        assert (put.user, put.host) == (client.user, client.host)
        assert put.server.port == ioc.port
        assert put.client.port in client.ports(ioc.port)
        assert put.time_ns > record.before_ns
    assert tap.gaps == []
    # Each frame on loopback is seen on its way out and on its way in.
    assert tap.tracker.counters.duplicates > 0


RAW = [
    (DbrType.STRING, 1, b"12.5".ljust(40, b"\0"), "D", "12.5"),
    (DbrType.SHORT, 1, struct.pack("=h", -3), "D", -3),
    (DbrType.FLOAT, 1, struct.pack("=f", 0.5), "D", 0.5),
    (DbrType.ENUM, 1, struct.pack("=H", 1), "E", 1),
    (DbrType.CHAR, 1, b"\xff", "L", 255),
    (DbrType.LONG, 1, struct.pack("=i", -100_000), "L", -100_000),
    (DbrType.DOUBLE, 1, struct.pack("=d", 1e300), "D", 1e300),
    (DbrType.STRING, 2, b"one".ljust(40, b"\0") + b"two".ljust(40, b"\0"), "WS", ("one", "two")),
    (DbrType.CHAR, 6, b"bytes\0", "WC", b"bytes\0"),
    (DbrType.CHAR, 300, b"long".ljust(300, b"g"), "LS.VAL$", "long" + "g" * 296),
    (DbrType.SHORT, 3, struct.pack("=3h", 1, 2, 3), "WD", (1, 2, 3)),
    (DbrType.PUT_ACKT, 1, struct.pack("=H", 1), "D", 1),
    (DbrType.PUT_ACKS, 1, struct.pack("=H", 2), "D", 2),
]


def test_puts_of_every_type_that_libca_sends(tap: Tap, ioc: RealIoc, make_client: Callable[..., CaClient]) -> None:
    client = make_client(LibcaClient, ioc.client_environment())
    for data_type, count, data, pv, _ in RAW:
        client.put_raw(pv, data_type, count, data)
    puts = tap.puts(len(RAW))
    assert [(put.pv, put.dbr_type, put.count, put.value) for put in puts] == [
        (pv, data_type, count, expected) for data_type, count, _, pv, expected in RAW
    ]


def test_a_burst_arrives_whole_and_once(tap: Tap, ioc: RealIoc, make_client: Callable[..., CaClient]) -> None:
    client = make_client(LibcaClient, ioc.client_environment())
    client.burst("L", 20_000)
    assert [put.value for put in tap.puts(20_000)] == list(range(20_000))
    assert tap.gaps == []
    assert tap.tracker.counters.unnamed == 0


def test_a_channel_cleared_and_made_again(tap: Tap, ioc: RealIoc, make_client: Callable[..., CaClient]) -> None:
    client = make_client(LibcaClient, ioc.client_environment())
    client.put("D", 1.0)
    client.put("L", 2)
    client.drop("D")
    client.put("S", "three")
    client.put("D", 4.0)
    assert [(put.pv, put.value) for put in tap.puts(4)] == [("D", 1.0), ("L", 2), ("S", "three"), ("D", 4.0)]


def test_a_server_that_is_no_base(tap: Tap, caproto_ioc: CaprotoIoc, make_client: Callable[..., CaClient]) -> None:
    for kind in (LibcaClient, CaprotoClient):
        client = make_client(kind, caproto_ioc.client_environment())
        for pv, value in (("cap:int", 5), ("cap:double", 2.5), ("cap:string", "text"), ("cap:wave", [1.0, 2.0])):
            client.put(pv, value, notify=True)
            (put,) = tap.puts(1)
            expected = tuple(value) if isinstance(value, list) else value
            assert (put.pv, put.value, put.server.port) == (pv, expected, caproto_ioc.port)
    assert tap.gaps == []


def test_a_circuit_older_than_the_tap(
    netns: NetworkNamespace, ioc: RealIoc, make_client: Callable[..., CaClient]
) -> None:
    for kind in (LibcaClient, CaprotoClient):
        client = make_client(kind, ioc.client_environment())
        client.put("D", 1.0, notify=True)
        tap = Tap()
        try:
            client.put("D", 2.0)
            client.put("L", 3)
            old, new = tap.puts(2)
        finally:
            tap.socket.close()
        assert (old.pv, old.pv_source, old.value, old.user) == (None, None, 2.0, None)
        assert (new.pv, new.value) == ("L", 3)
        assert old.client == new.client
        assert old.sid != new.sid

"""Everything that clients can put, as it comes out of the live put log."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from epicsmon.programs import ca_filter

from epicsmon.ca.dbr import DbrType
from epicsmon.events import Provenance

if TYPE_CHECKING:
    from tests.live.puts.conftest import Site

pytestmark = pytest.mark.needs("netns", "epics")

NATIVE = [
    ("D", 1.5),
    ("D", 0.0),
    ("L", -7),
    ("S", "hello"),
    ("S", ""),
    ("S", "x" * 39),
    ("E", 1),
    ("D.DESC", "drive"),
    ("D.PREC", 5),
    ("WD", [0.5, 1.5]),
]


@pytest.mark.parametrize("notify", [False, True])
@pytest.mark.parametrize("kind", ["libca", "caproto"])
def test_a_put_in_the_native_type(site: Site, kind: str, notify: bool) -> None:
    client = getattr(site, kind)
    for pv, value in NATIVE:
        client.connect(pv)
        record = client.put(pv, value, notify=notify)
        (put,) = site.watch.take(1, quiet_s=0.0)
        assert (put.pv, put.pv_source, put.notify) == (pv, Provenance.WIRE, notify)
        assert put.value == (tuple(value) if isinstance(value, list) else value)
        assert (put.user, put.host) == (client.user, client.host)
        assert (put.server.host, put.server.port) == ("127.0.0.1", site.ioc.port)
        assert put.client.port in client.ports(site.ioc.port)
        assert put.namespace == site.watch.source.capture.namespace
        assert put.time_ns > record.before_ns
        if notify:
            # The client returned when the put was done: its own clock bounds the time from both sides.
            assert put.time_ns < record.after_ns
            assert put.ioid is not None


PLAIN: list[tuple[DbrType, str, Any]] = [
    (DbrType.SHORT, "h", -3),
    (DbrType.FLOAT, "f", 0.5),
    (DbrType.ENUM, "H", 1),
    (DbrType.CHAR, "B", 255),
    (DbrType.LONG, "i", -100_000),
    (DbrType.DOUBLE, "d", 1e300),
    (DbrType.DOUBLE, "d", float("-inf")),
    (DbrType.PUT_ACKT, "H", 1),
    (DbrType.PUT_ACKS, "H", 2),
]


def raw_puts(order: str) -> list[tuple[str, DbrType, int, bytes, Any]]:
    """PV, type, count, data as the client wants them, and the value they are; one for each type and shape."""
    puts: list[tuple[str, DbrType, int, bytes, Any]] = [
        ("D", kind, 1, struct.pack(order + code, value), value) for kind, code, value in PLAIN
    ]
    for kind, code, value in PLAIN[:6]:
        if kind is not DbrType.CHAR:
            puts.append(("WD", kind, 3, struct.pack(f"{order}3{code}", value, 0, value), (value, 0, value)))
    puts.append(("D", DbrType.STRING, 1, b"12.5".ljust(40, b"\0"), "12.5"))
    puts.append(("WS", DbrType.STRING, 2, b"one".ljust(40, b"\0") + b"two".ljust(40, b"\0"), ("one", "two")))
    puts.append(("WC", DbrType.CHAR, 6, b"bytes\0", b"bytes\0"))
    puts.append(("LS.VAL$", DbrType.CHAR, 300, b"long".ljust(300, b"g"), "long" + "g" * 296))
    return puts


def test_a_put_of_every_type_by_libca(site: Site) -> None:
    puts = raw_puts("=")
    for pv in {put[0] for put in puts}:
        site.libca.connect(pv)
    for pv, kind, count, data, _ in puts:
        site.libca.put_raw(pv, kind, count, data)
    seen = site.watch.take(len(puts))
    assert [(put.pv, put.dbr_type, put.count, put.value) for put in seen] == [
        (pv, kind, count, value) for pv, kind, count, _, value in puts
    ]
    assert {put.notify for put in seen} == {False}


def test_a_put_of_every_type_by_caproto(site: Site) -> None:
    puts = [put for put in raw_puts(">") if put[1] <= DbrType.DOUBLE]
    for pv in {put[0] for put in puts}:
        site.caproto.connect(pv)
    for pv, kind, count, data, _ in puts:
        site.caproto.put_raw(pv, kind, count, data)
    seen = site.watch.take(len(puts))
    assert [(put.pv, put.dbr_type, put.count, put.value) for put in seen] == [
        (pv, kind, count, value) for pv, kind, count, _, value in puts
    ]


# Bytes of payload around what the short header can say, one piece of the filter, one frame of lo, and beyond.
EDGES = [
    ca_filter.CHUNK - 16,
    ca_filter.CHUNK - 8,
    ca_filter.CHUNK,
    65_488,
    65_512,
    65_528,
    65_536,
    65_544,
    5 * ca_filter.CHUNK,
    1_600_000,
]


@pytest.mark.parametrize("kind", ["libca", "caproto"])
def test_arrays_of_every_size(site: Site, kind: str) -> None:
    client = getattr(site, kind)
    client.connect("WD")
    for size in EDGES:
        values = [float(i) for i in range(size // 8)]
        record = client.put("WD", values, notify=True)
        (put,) = site.watch.take(1, quiet_s=0.0)
        assert put.count == len(values)
        assert put.value == tuple(values)
        assert record.before_ns < put.time_ns < record.after_ns


@pytest.mark.parametrize("kind", ["libca", "caproto"])
def test_arrays_of_bytes_of_every_size(site: Site, kind: str) -> None:
    client = getattr(site, kind)
    client.connect("WC")
    for size in (2, 7, 8, 9, 65_520, 65_527, 65_528, 65_529, 65_535, 65_536, 100_000):
        data = bytes(i % 251 for i in range(size))
        client.put_raw("WC", DbrType.CHAR, size, data)
        (put,) = site.watch.take(1, quiet_s=0.0)
        assert (put.count, put.value) == (size, data)


def test_what_the_ioc_has_is_what_was_put(site: Site) -> None:
    site.libca.connect("L")
    for value in (5, -6):
        site.libca.put("L", value, notify=True)
        (put,) = site.watch.take(1, quiet_s=0.0)
        assert str(put.value) == site.ioc.get("L")

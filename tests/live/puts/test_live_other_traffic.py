"""What is not Channel Access stays in the kernel; what only pretends to be does no harm."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from epicsmon.ca.commands import Command
from epicsmon.ca.header import encode_message
from epicsmon.puts.limits import Limits
from tests.support.ca_sockets import LOOPBACK, Circuit
from tests.support.ca_wire import Conversation, random_conversation
from tests.support.netns import NetworkNamespace
from tests.support.putwatch import PutWatch
from tests.support.raw_packets import RawSender

if TYPE_CHECKING:
    from tests.live.puts.conftest import Site

pytestmark = pytest.mark.needs("netns", "epics")

VERSION = encode_message(Command.VERSION, count=13)


def http(rng: random.Random) -> Iterator[tuple[bool, bytes]]:
    while True:
        yield True, b"GET /cgi-bin/archiver?pv=LINAC:MAG:Q12 HTTP/1.1\r\nHost: control-room\r\n\r\n"
        body = bytes(rng.choices(b"<table> 0123456789abcdef\n", k=rng.randrange(5_000)))
        yield False, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def tls(rng: random.Random) -> Iterator[tuple[bool, bytes]]:
    yield True, b"\x16\x03\x01" + struct.pack(">H", 512) + rng.randbytes(512)
    yield False, b"\x16\x03\x03" + struct.pack(">H", 4_000) + rng.randbytes(4_000)
    while True:
        for from_client in (True, False):
            size = rng.randrange(1, 9_000)
            yield from_client, b"\x17\x03\x03" + struct.pack(">H", size) + rng.randbytes(size)


def noise(rng: random.Random) -> Iterator[tuple[bool, bytes]]:
    while True:
        yield rng.random() < 0.5, rng.randbytes(rng.randrange(1, 5_000))


def zeros(rng: random.Random) -> Iterator[tuple[bool, bytes]]:
    while True:
        yield rng.random() < 0.5, bytes(rng.randrange(1, 5_000))


def pv_access(rng: random.Random) -> Iterator[tuple[bool, bytes]]:
    """The other protocol of EPICS: 0xCA, version, flags, command, size."""
    while True:
        size = rng.randrange(300)
        header = struct.pack("<BBBBI", 0xCA, 2, 0, rng.randrange(24), size)
        yield rng.random() < 0.5, header + rng.randbytes(size)


def modbus(rng: random.Random) -> Iterator[tuple[bool, bytes]]:
    """Read holding registers, as IOCs ask PLCs: small numbers first, like Channel Access."""
    for transaction in range(1, 1 << 16):
        yield True, struct.pack(">HHHBBHH", transaction, 0, 6, 1, 3, rng.randrange(1000), 10)
        yield False, struct.pack(">HHHBBB", transaction, 0, 23, 1, 3, 20) + rng.randbytes(20)


@pytest.mark.parametrize("protocol", [http, tls, noise, zeros, pv_access, modbus])
def test_other_protocols_stay_in_the_kernel(
    watch: PutWatch, protocol: Callable[[random.Random], Iterator[tuple[bool, bytes]]]
) -> None:
    with Circuit() as connection:
        for _, (from_client, data) in zip(range(300), protocol(random.Random(7))):
            connection.say(from_client, data)
    assert watch.take(0) == []
    counts = watch.source.capture.counts()
    assert counts.segments == 0
    assert counts.others >= 300
    assert watch.source.tracker.counters.circuits == 0
    assert watch.gaps == []


def test_what_only_looks_like_messages_is_left_out_after_a_while(watch: PutWatch) -> None:
    rng = random.Random(8)
    # Good enough for the filter, but no client or server sends such headers.
    pretending = b"".join(
        struct.pack(">HHHHII", Command.EVENTS_ON, 8, 3, 7, rng.randrange(1 << 32), 9) + rng.randbytes(8)
        for _ in range(40)
    )
    capture = watch.source.capture
    with Circuit() as connection:
        for _ in range(300):
            connection.say(True, pretending)
        watch.wait_for(lambda: capture.pending() == 0)
        watch.take(0)
        before = capture.counts().segments
        assert before > 100
        for _ in range(300):
            connection.say(True, pretending)
        assert capture.counts().segments == before
    assert watch.take(0) == []
    assert watch.gaps == []


@pytest.mark.parametrize("seed", range(3))
def test_hostile_bytes_to_the_port_of_an_ioc(site: Site, seed: int) -> None:
    rng = random.Random(seed)
    talk = random_conversation(rng, 60)
    stream = b"".join(data for from_client, data in talk.said if from_client)
    for number in range(30):
        bad = bytearray(stream)
        for _ in range(rng.randrange(1, 30)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        # The IOC ends some of these connections.
        with socket.create_connection((LOOPBACK, site.ioc.port)) as attacker, suppress(OSError):
            attacker.sendall((VERSION, b"", rng.randbytes(40))[number % 3])
            attacker.sendall(rng.randbytes(2_000) if number % 2 else bytes(bad))
    site.watch.take(0)
    site.watch.gaps.clear()  # of circuits that nobody can follow
    site.libca.connect("D")
    site.libca.put("D", 1.25 + seed)
    (put,) = site.watch.take(1)
    assert (put.pv, put.value) == ("D", 1.25 + seed)


def test_a_flood_of_syns_costs_user_space_nothing(site: Site) -> None:
    rng = random.Random(9)
    site.libca.connect("D")
    capture, tracker = site.watch.source.capture, site.watch.source.tracker
    segments, circuits = capture.counts().segments, tracker.counters.circuits
    with RawSender() as sender:
        for _ in range(70_000):
            source = f"127.{rng.randrange(1, 255)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
            sender.send_tcp(source, rng.randrange(1024, 65536), LOOPBACK, site.ioc.port, rng.randrange(1 << 32), 0x02)
    assert capture.counts().segments - segments < 10
    assert tracker.counters.circuits == circuits
    # More than the filter's table has room for; it has not forgotten who is a server.
    site.libca.put("D", 2.5, notify=True)
    (put,) = site.watch.take(1)
    assert (put.pv, put.value) == ("D", 2.5)


def test_a_flood_of_circuits_stays_bounded_and_pushes_out_nobody(netns: NetworkNamespace) -> None:
    rng = random.Random(10)
    limits = Limits(circuits=200)
    with PutWatch(limits=limits) as watch, Circuit() as circuit:
        talk = Conversation().begin()
        sid = talk.create("QUIET", cid=1)
        circuit.play(talk, repeat(1 << 20))
        with RawSender() as sender:
            for _ in range(3_000):
                source = f"127.{rng.randrange(1, 255)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
                sender.send_tcp(source, rng.randrange(1024, 65536), LOOPBACK, 9, 1, 0x18, VERSION)
        watch.wait_for(lambda: watch.source.tracker.counters.evicted > 2_000)
        assert watch.source.tracker.counters.circuits <= 200
        assert watch.source.tracker.held < 1 << 20
        talk.put(sid, 7.5)
        circuit.say(*talk.said[-1])
        (put,) = watch.take(1)
        assert (put.pv, put.value) == ("QUIET", 7.5)

"""Connections that are no circuits: whoever captures is told of them, once."""

from __future__ import annotations

import random

from epicsmon.capture.packet import ACK, Segment
from epicsmon.events import Endpoint
from epicsmon.puts import Limits, PutTracker
from tests.support.ca_wire import Conversation, Wire

BROWSER, WEB = Endpoint("10.1.2.7", 40_000), Endpoint("10.1.2.9", 443)


def told(segments: list[Segment], **options: object) -> list[frozenset[Endpoint]]:
    others: list[frozenset[Endpoint]] = []
    tracker = PutTracker(on_other=lambda one, other: others.append(frozenset((one, other))), **options)
    for segment in segments:
        tracker.feed(segment)
    return others


def stream(payload: bytes, size: int = 1448) -> list[Segment]:
    return [
        Segment(i, BROWSER, WEB, i, 1, ACK, payload[i : i + size], len(payload[i : i + size]))
        for i in range(0, len(payload), size)
    ]


def test_a_connection_that_never_shows_a_header_is_named_once() -> None:
    noise = random.Random(1).randbytes(400_000)
    assert told(stream(noise)) == [frozenset((BROWSER, WEB))]


def test_a_circuit_never_is() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    for n in range(50):
        talk.put(sid, float(n))
    assert told(list(Wire([1448] * 1000).carry(talk))) == []


def test_nor_is_what_a_known_server_says() -> None:
    noise = random.Random(1).randbytes(400_000)
    assert told(stream(noise), is_server=lambda endpoint: endpoint == WEB) == []


def test_a_flood_of_new_circuits_pushes_out_no_channel() -> None:
    talk = Conversation().begin()
    sid = talk.create("QUIET", cid=1)
    talk.put(sid, 1.0)
    begun = list(Wire([1448] * 1000).carry(talk, end=False))
    tracker = PutTracker(Limits(circuits=50))
    for segment in begun[:-1]:
        tracker.feed(segment)
    for n in range(1_000):
        attacker = Wire([1448] * 10, client=Endpoint(f"10.9.{n // 250}.{n % 250}", 40_000), start_ns=begun[-1].time_ns)
        for segment in attacker.carry(Conversation().begin(), end=False):
            tracker.feed(segment)
    (put,) = tracker.feed(begun[-1])
    assert put.pv == "QUIET"
    assert tracker.counters.circuits <= 50


def test_connections_that_are_over_are_forgotten_after_a_while() -> None:
    limits = Limits()
    tracker = PutTracker(limits)
    last_ns = 0
    for n in range(100):
        talk = Conversation().begin()
        talk.put(talk.create("A", cid=1), 1.0)
        for segment in Wire([1448] * 100, client=Endpoint("10.9.0.1", 30_000 + n)).carry(talk):
            tracker.feed(segment)
            last_ns = segment.time_ns
    assert tracker.counters.circuits == 0
    # A segment that comes again late is no new connection.
    assert tracker.feed(segment) == ()
    assert tracker.counters.circuits == 0
    tracker.expire(last_ns + limits.linger_ns - 1)
    assert tracker.remembered == 100
    tracker.expire(last_ns + limits.linger_ns)
    assert tracker.remembered == 0


def test_an_open_circuit_is_remembered_however_long_it_is_silent() -> None:
    talk = Conversation().begin()
    sid = talk.create("A", cid=1)
    talk.put(sid, 1.0)
    *begun, last = Wire([1448] * 100).carry(talk, end=False)
    tracker = PutTracker()
    for segment in begun:
        tracker.feed(segment)
    tracker.expire(last.time_ns + 10**15)
    (put,) = tracker.feed(last._replace(time_ns=last.time_ns + 10**15))
    assert put.pv == "A"

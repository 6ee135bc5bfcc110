"""Connections that are no circuits: whoever captures is told of them, once."""

from __future__ import annotations

import random

from epicsmon.capture.packet import ACK, Segment
from epicsmon.events import Endpoint
from epicsmon.puts import PutTracker
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

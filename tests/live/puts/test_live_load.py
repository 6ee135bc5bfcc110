"""Exactly once, however fast; and what does not fit is counted, to the byte."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from epicsmon.events import LossUnit, Stage
from tests.support.ca_sockets import Circuit
from tests.support.ca_wire import Conversation
from tests.support.netns import NetworkNamespace
from tests.support.putwatch import PutWatch

if TYPE_CHECKING:
    from tests.live.puts.conftest import Site

pytestmark = pytest.mark.needs("netns", "epics")

BURST = 20_000
PUT_BYTES = 24  # a header and a double


@contextmanager
def open_channel(name: str = "LOAD") -> Iterator[tuple[Circuit, Conversation, int]]:
    """A made circuit with one channel: the circuit, its conversation so far, the sid."""
    talk = Conversation().begin()
    sid = talk.create(name, cid=1)
    with Circuit() as circuit:
        circuit.play(talk, repeat(1 << 20))
        yield circuit, talk, sid


def put_one_by_one(circuit: Circuit, talk: Conversation, sid: int, values: range) -> None:
    """Each put a segment of its own."""
    before = len(talk.said)
    for value in values:
        talk.put(sid, float(value))
    for _, data in talk.said[before:]:
        circuit.say(True, data)


def test_a_burst_of_a_real_client_arrives_whole_and_once(site: Site) -> None:
    site.libca.connect("L")
    record = site.libca.burst("L", BURST)
    puts = site.watch.take(BURST, patience_s=30)
    assert [put.value for put in puts] == list(range(BURST))
    assert {put.pv for put in puts} == {"L"}
    times = [put.time_ns for put in puts]
    assert times == sorted(times)
    assert record.before_ns < times[0]
    assert times[-1] < record.after_ns
    assert site.watch.source.capture.counts().lost == 0


def test_bursts_of_two_clients_at_once(site: Site) -> None:
    site.libca.connect("L")
    site.caproto.connect("D2")
    other = threading.Thread(target=site.caproto.burst, args=("D2", 2_000))
    other.start()
    site.libca.burst("L", BURST)
    other.join()
    puts = site.watch.take(BURST + 2_000, patience_s=30)
    assert [put.value for put in puts if put.pv == "L"] == list(range(BURST))
    assert [put.value for put in puts if put.pv == "D2"] == list(range(2_000))


def test_a_burst_of_single_segments_arrives_whole_and_once(watch: PutWatch) -> None:
    with open_channel() as (circuit, talk, sid):
        put_one_by_one(circuit, talk, sid, range(BURST))
        puts = watch.take(BURST, patience_s=30)
    assert [(put.pv, put.value) for put in puts] == [("LOAD", float(n)) for n in range(BURST)]
    assert watch.gaps == []


def test_a_slow_reader_loses_nothing_that_the_ring_can_hold(netns: NetworkNamespace) -> None:
    with PutWatch(delay=lambda: time.sleep(0.0005)) as watch, open_channel() as (circuit, talk, sid):
        put_one_by_one(circuit, talk, sid, range(3_000))
        puts = watch.take(3_000, patience_s=30)
    assert [put.value for put in puts] == [float(n) for n in range(3_000)]
    assert watch.gaps == []


def test_what_the_ring_cannot_hold_is_counted_to_the_byte(netns: NetworkNamespace) -> None:
    reading = threading.Event()
    with PutWatch(ring_bytes=1 << 16, delay=lambda: reading.wait(30)) as watch, open_channel() as (circuit, talk, sid):
        # The reader has one put in hand and stays there, while more come than the ring can hold.
        put_one_by_one(circuit, talk, sid, range(5_000))
        reading.set()
        watch.wait_for(lambda: any(gap.stage is Stage.RING for gap in watch.gaps))
        watch.wait_for(lambda: watch.source.capture.pending() == 0)
        put_one_by_one(circuit, talk, sid, range(5_000, 5_100))
        watch.wait_for(lambda: any(gap.stage is Stage.STREAM for gap in watch.gaps))
        watch.wait_for(lambda: watch.latest is not None and watch.latest.value == 5_099.0)
        puts = watch.take(200)
        counts = watch.source.capture.counts()
    assert counts.ring_full > 1_000
    in_ring = [gap for gap in watch.gaps if gap.stage is Stage.RING]
    assert {gap.unit for gap in in_ring} == {LossUnit.PACKETS}
    assert sum(gap.lost for gap in in_ring) == counts.ring_full

    values = [put.value for put in puts]
    assert values == sorted(set(values))
    assert values[-100:] == [float(n) for n in range(5_000, 5_100)]
    assert {put.pv for put in puts} == {"LOAD"}
    in_stream = [gap for gap in watch.gaps if gap.stage is Stage.STREAM]
    assert {gap.unit for gap in in_stream} == {LossUnit.BYTES}
    lost = sum(gap.lost for gap in in_stream)
    assert len(puts) * PUT_BYTES + lost == 5_100 * PUT_BYTES
    # TCP may have sent a few of them again: lost twice in the ring, but once in the stream.
    assert lost // PUT_BYTES <= counts.ring_full <= lost // PUT_BYTES + 10
    counters = watch.source.counters
    assert (counters.seen, counters.delivered, counters.lost) == (len(puts), len(puts), 0)


def test_it_stops_at_once_when_nothing_happens(netns: NetworkNamespace) -> None:
    took = []
    for _ in range(3):
        with PutWatch() as watch:
            time.sleep(0.2)
            took.append(watch.stop())
    # The best of three: another process may have had the CPU.
    assert min(took) < 0.1


def test_it_stops_after_what_has_come_in_while_more_comes(netns: NetworkNamespace) -> None:
    enough = threading.Event()
    told = []
    with PutWatch() as watch, open_channel() as (circuit, talk, sid):

        def go_on() -> None:
            value = 0
            while not enough.is_set():
                put_one_by_one(circuit, talk, sid, range(value, value + 10))
                value += 10
                told.append(value)
                time.sleep(0.001)

        busy = threading.Thread(target=go_on)
        busy.start()
        time.sleep(0.5)
        before = told[-1]
        took = watch.stop()
        enough.set()
        busy.join()
        assert took < 1.0
        puts = watch.take(0, quiet_s=0.0)
    assert [put.value for put in puts] == [float(n) for n in range(len(puts))]
    assert len(puts) >= before
    assert watch.gaps == []

"""The queue before a sink: bounded, patient once, and loses nothing silently."""

from __future__ import annotations

import threading
import time

from epicsmon.agent.queue import BoundedQueue
from tests.support.events import gap, put


def test_events_come_out_in_order_and_in_batches() -> None:
    queue = BoundedQueue(limit=10)
    events = [put(sid=i) for i in range(5)]
    assert all(map(queue.offer, events))
    assert queue.take(3) == events[:3]
    assert queue.take(3) == events[3:]


def test_a_full_queue_refuses_after_its_patience_and_then_at_once() -> None:
    queue = BoundedQueue(limit=1, patience_s=0.05)
    assert queue.offer(put())
    start = time.monotonic()
    assert not queue.offer(put())
    waited = time.monotonic() - start
    assert 0.05 <= waited < 1
    start = time.monotonic()
    assert not any(queue.offer(put()) for _ in range(1000))
    assert time.monotonic() - start < 1
    assert len(queue) == 1


def test_a_full_queue_is_patient_again_once_it_has_moved() -> None:
    queue = BoundedQueue(limit=1, patience_s=0.0)
    assert queue.offer(put())
    assert not queue.offer(put())
    queue.take(1)
    assert queue.offer(put())


def test_a_waiting_offer_goes_through_when_the_taker_moves() -> None:
    queue = BoundedQueue(limit=1, patience_s=30)
    queue.offer(put(sid=1))
    taken: list[object] = []
    taker = threading.Timer(0.02, lambda: taken.extend(queue.take(1)))
    taker.start()
    assert queue.offer(put(sid=2))
    taker.join()
    assert taken == [put(sid=1)]


def test_take_waits_for_an_event() -> None:
    queue = BoundedQueue(limit=1)
    threading.Timer(0.02, queue.offer, [put()]).start()
    assert queue.take(5) == [put()]


def test_a_closed_queue_gives_what_it_has_and_then_nothing() -> None:
    queue = BoundedQueue(limit=1)
    queue.offer(put())
    queue.close([gap(), gap()])
    assert not queue.offer(put())
    assert queue.take(9) == [put(), gap(), gap()]
    assert queue.take(9) == []


def test_closing_wakes_both_sides() -> None:
    empty = BoundedQueue(limit=1)
    threading.Timer(0.02, empty.close).start()
    assert empty.take(1) == []
    full = BoundedQueue(limit=1, patience_s=30)
    full.offer(put())
    threading.Timer(0.02, full.close).start()
    assert not full.offer(put())


def test_what_is_discarded_is_returned() -> None:
    queue = BoundedQueue(limit=3)
    queue.offer(put())
    assert queue.discard() == [put()]
    assert queue.take(1) == []

"""What is lost is counted and told; what follows is whole again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from epicsmon.events import Gap, IocEvent, SpanKind, Stage
from epicsmon.ioc import find_ioc
from epicsmon.trace.live import TraceSource
from epicsmon.trace.probes import Probes
from epicsmon.trace.subject import TracedIoc
from tests.support.clients import CaClient
from tests.support.epics import RealIoc
from tests.support.tracing import Tracer, forward_chain, in_order, shape_of

DATABASE = """
record(ao, "W:ao") { field(FLNK, "W:fan") }
record(fanout, "W:fan") { field(LNK1, "W:a") field(LNK2, "W:b") }
record(calc, "W:a") { field(CALC, "VAL+1") }
record(calc, "W:b") { field(CALC, "VAL+1") }
"""
WHOLE = ("dbPutField W:ao.VAL", ("W:ao", ("W:fan", ("W:a",), ("W:b",))))
CALLS = 6
"""Of one put: dbPutField, dbPut and four of dbProcess."""


def test_a_full_ring_is_a_gap_and_nothing_is_unaccounted_for(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(DATABASE)
    client = libca(ioc)
    client.connect("W:ao")
    with Tracer(ioc, sizes={"calls": 1 << 16}, reading=False) as tracer:
        client.burst("W:ao", 1000)
        tracer.read()
        tracer.wait_for(lambda: len(tracer.chains) > 10)
        seen = len(tracer.events)
        client.put("W:ao", -1.0)
        last = tracer.chain("W:ao", SpanKind.PUT_FIELD, after=seen)
        assert shape_of(last) == WHOLE, "after the loss chains are whole again"
        counters = tracer.finish()
    assert counters.seen == 1001 * CALLS
    assert counters.lost > 1000
    assert counters.delivered > CALLS
    assert {gap.stage for gap in tracer.gaps} == {Stage.RING}
    # What came before the ring was full is whole; its last chain lost its end.
    whole = [chain for chain in tracer.chains if shape_of(chain) == WHOLE]
    assert len(whole) > 10
    assert [chain.root.value for chain in whole[:10]] == [float(n) for n in range(10)]


def test_a_slow_reader_loses_what_is_counted_while_it_goes_on(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(DATABASE)
    client = libca(ioc)
    client.connect("W:ao")
    chains = gaps = 0
    with TraceSource([ioc.pid], sizes={"calls": 1 << 14}) as source:
        for event in source:
            if isinstance(event, IocEvent):
                client.burst("W:ao", 500)
            elif isinstance(event, Gap):
                gaps += event.lost
                source.stop()
            else:
                chains += 1
        assert source.counters.balanced
        assert source.counters.filtered == 0
        assert source.counters.lost == gaps > 0
        assert chains > 5


def test_calls_nested_too_deep_are_counted_and_the_next_chain_is_whole(make_ioc: Callable[..., RealIoc]) -> None:
    length = 80
    ioc = make_ioc(forward_chain(length) + DATABASE)
    with Tracer(ioc) as tracer:
        ioc.put("L:0.PROC", "1")
        chain = tracer.chain("L:0", SpanKind.PUT_FIELD)
        followed = 63  # besides dbPutField: the kernel's MAX_URETPROBE_DEPTH is 64
        assert in_order(chain) == [f"L:{number}" for number in range(followed)]
        ioc.put("W:ao", "1")
        assert shape_of(tracer.chain("W:ao", SpanKind.PUT_FIELD)) == WHOLE
        counters = tracer.finish()
    assert counters.lost == length - followed
    assert [(gap.stage, gap.lost) for gap in tracer.gaps] == [(Stage.SOURCE, length - followed)]


def test_more_threads_than_there_is_room_for_are_a_gap(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(DATABASE)
    client = libca(ioc)
    with Tracer(ioc, sizes={"threads": 1}) as tracer:
        ioc.put("W:ao", "1")
        assert shape_of(tracer.chain("W:ao", SpanKind.PUT_FIELD)) == WHOLE
        client.burst("W:ao", 5)
        counters = tracer.finish()
    assert (counters.delivered, counters.lost) == (CALLS, 5 * CALLS)
    assert [(gap.stage, gap.lost) for gap in tracer.gaps] == [(Stage.SOURCE, 5 * CALLS)]


def test_threads_that_have_ended_make_room(make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]) -> None:
    ioc = make_ioc(DATABASE)
    client = libca(ioc)
    circuits = 12
    with find_ioc(ioc.pid) as seen:
        subject = TracedIoc(seen, "boot")
        with Probes(subject, sizes={"threads": 4}) as probes:
            probes.attach(subject)
            for turn in range(circuits):
                client.put("W:ao", float(turn), notify=True)
                client.drop("W:ao")  # the last channel: libca closes the circuit, the IOC ends its thread
                deadline = time.monotonic() + 5
                while "CAS-client" in thread_names(ioc.pid) and time.monotonic() < deadline:
                    time.sleep(0.01)
                counts = probes.counts()
                assert counts.seen == (turn + 1) * CALLS
            probes.detach(ioc.pid)
            taken, _ = probes.poll(lambda call: None)
            assert (taken, counts.lost, counts.open) == (circuits * CALLS, 0, 0)


def thread_names(pid: int) -> list[str]:
    names = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with suppress(FileNotFoundError, ProcessLookupError):
            names.append(Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip())
    return names

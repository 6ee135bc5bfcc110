"""Coming and going: every way to attach, again and again, under load; nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from epicsmon.events import Chain, SpanKind
from epicsmon.ioc import find_ioc
from epicsmon.trace.live import trace_processing
from epicsmon.trace.probes import Probes as LoadedProbes
from epicsmon.trace.subject import TracedIoc
from pybpf.links import ProbeSide, UprobeMethod, uprobe_methods
from tests.support.clients import CaClient
from tests.support.epics import RealIoc
from tests.support.fd_leaks import open_descriptors
from tests.support.leftovers import FUNCTIONS, Probes, kernel_objects, still_there
from tests.support.tracing import Shape, Tracer, shape_of

DATABASE = """
record(fanout, "A:fan") { field(LNK1, "A:a") field(LNK2, "A:b") }
record(calc, "A:a") { field(CALC, "VAL+1") field(FLNK, "A:c") }
record(calc, "A:b") { field(CALC, "VAL+1") }
record(calc, "A:c") { field(CALC, "VAL+1") }
record(ao, "A:ao") { field(OUT, "A:target PP") field(FLNK, "A:fan") }
record(longout, "A:target") { }
record(ao, "A:load") { field(FLNK, "A:loaded") }
record(calc, "A:loaded") { field(CALC, "VAL+1") }
"""
COMMAND = "from epicsmon.cli import main; raise SystemExit(main())"
TREE: Shape = ("A:ao", ("dbPut A:target.VAL",), ("A:target",), ("A:fan", ("A:a", ("A:c",)), ("A:b",)))


@contextmanager
def load(client: CaClient, puts: int, pv: str = "A:load") -> Iterator[list[int]]:
    """While open, a client puts as fast as it can, ``puts`` at a time; gives how many were taken by the server."""
    done: list[int] = []
    ending = threading.Event()

    def put() -> None:
        while not ending.is_set():
            client.burst(pv, puts)
            done.append(puts)

    thread = threading.Thread(target=put)
    thread.start()
    try:
        yield done
    finally:
        ending.set()
        thread.join()


@pytest.mark.parametrize("method", list(UprobeMethod), ids=lambda method: method.value)
def test_every_way_to_attach_gives_the_same_chains(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient], method: UprobeMethod
) -> None:
    if method not in uprobe_methods(ProbeSide.BOTH):
        pytest.skip(f"needs a kernel with {method.value}")
    ioc = make_ioc(DATABASE)
    client = libca(ioc)
    client.connect("A:ao", "A:load")
    with Tracer(ioc, force=method) as tracer:
        [found] = tracer.wait_for(lambda: tracer.ioc_events)
        assert found.detail == f"traced by {method.value}, 4 functions"
        client.put("A:ao", 2.5)
        chain = tracer.chain("A:ao", SpanKind.PUT_FIELD)
        assert shape_of(chain) == ("dbPutField A:ao.VAL", TREE)
        assert (chain.root.value, chain.spans[1].value, chain.root.thread) == (2.5, 2.5, "CAS-client")
        client.put("A:ao", 3.5, notify=True)
        chain = tracer.chain("A:ao", SpanKind.PUT_NOTIFY)
        assert shape_of(chain) == ("dbProcessNotify A:ao.VAL", TREE)
        client.burst("A:load", 1000)
        counters = tracer.finish()
    assert (counters.seen, counters.lost) == (9 + 9 + 4 * 1000, 0)
    expected = ("dbPutField A:load.VAL", ("A:load", ("A:loaded",)))
    assert [shape_of(one) for one in tracer.chains if one.root.record == "A:load"] == [expected] * 1000


@pytest.mark.needs("bpftool")
def test_tracing_starts_and_ends_fifty_times_under_load_and_leaves_nothing(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(DATABASE)
    probes = Probes.of(ioc)
    client = libca(ioc)
    client.connect("A:load")
    assert probes.set() == set()
    found = 0
    with find_ioc(ioc.pid) as seen, load(client, 300) as done:
        subject = TracedIoc(seen, "boot")
        with LoadedProbes(subject) as loaded:
            used = kernel_objects(os.getpid())
            before = open_descriptors()
            for _ in range(50):
                loaded.attach(subject)
                assert probes.set() == set(FUNCTIONS)
                time.sleep(0.005)
                loaded.detach(ioc.pid)
                assert probes.set() == set()
                assert open_descriptors() == before
                taken, garbage = loaded.poll(lambda call: None)
                assert garbage == 0
                found += taken
            counts = loaded.counts()
            assert counts.seen == found + counts.lost + counts.open
            # A call that was under way when the probes went out is left open, and found to be when its thread goes on.
            assert counts.lost + counts.open <= 50 * 4
    assert found > 0
    assert len(done) > 3, "the IOC served its client all the while"
    assert used["prog"]
    wait_until(lambda: still_there(used) == {})  # the kernel frees programs a little later
    assert ioc.get("A:load") == "299"
    assert ioc.stop() == 0


def test_a_source_can_be_opened_again_and_again(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(DATABASE)
    probes = Probes.of(ioc)
    for turn in range(3):
        with Tracer(ioc) as tracer:
            ioc.put("A:ao", str(turn))
            assert tracer.chain("A:ao", SpanKind.PUT_FIELD).root.value == str(turn)
            assert tracer.finish().lost == 0
        assert probes.set() == set()


def test_chains_that_began_before_all_probes_were_set_are_not_shown(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(DATABASE)
    client = libca(ioc)
    client.connect("A:ao")
    with load(client, 200, "A:ao"):
        for _ in range(8):
            with trace_processing([ioc.pid]) as source:
                first = next(event for event in source if isinstance(event, Chain))
                # Its outermost call may have begun before there was any probe: then it is all that one put processed.
                assert shape_of(first) in (("dbPutField A:ao.VAL", TREE), TREE)
                source.stop()
            assert source.counters.balanced


def test_two_tracers_at_once_do_not_disturb_each_other(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(DATABASE)
    with Tracer(ioc) as one:
        with Tracer(ioc) as other:
            ioc.put("A:ao", "1")
            for tracer in (one, other):
                assert shape_of(tracer.chain("A:ao", SpanKind.PUT_FIELD)) == ("dbPutField A:ao.VAL", TREE)
            assert other.finish().to_json() == {"seen": 9, "delivered": 9, "filtered": 0, "lost": 0}
        seen = len(one.events)
        ioc.put("A:ao", "2")
        assert one.chain("A:ao", SpanKind.PUT_FIELD, after=seen).root.value == "2"
        assert one.finish().to_json() == {"seen": 18, "delivered": 18, "filtered": 0, "lost": 0}


def test_leaving_the_loop_detaches_and_settles_the_account(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(DATABASE)
    probes = Probes.of(ioc)
    with trace_processing([ioc.pid]) as source:
        for _ in range(5):
            ioc.put("A:ao", "1")
        for event in source:
            if isinstance(event, Chain):
                break
        del event
        assert source.counters.to_json() == {"seen": 45, "delivered": 9, "filtered": 36, "lost": 0}
        assert probes.set() == set(), "nothing is measured that nobody takes"


def test_a_source_that_was_never_read_accounts_for_what_it_saw(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(DATABASE)
    with trace_processing([ioc.pid]) as source:
        ioc.put("A:ao", "1")
    assert source.counters.to_json() == {"seen": 9, "delivered": 0, "filtered": 9, "lost": 0}


@pytest.mark.needs("bpftool")
def test_a_tracer_that_is_killed_leaves_nothing_behind(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient], tmp_path: Path
) -> None:
    ioc = make_ioc(DATABASE)
    probes = Probes.of(ioc)
    client = libca(ioc)
    client.connect("A:load")
    with (tmp_path / "out").open("wb") as out, load(client, 300) as done:
        tracer = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from epicsmon.cli import main; raise SystemExit(main())",
                "trace",
                "--json",
                "--ioc",
                str(ioc.pid),
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: probes.set() == set(FUNCTIONS))
            time.sleep(0.2)
            used = kernel_objects(tracer.pid)
        finally:
            tracer.send_signal(signal.SIGKILL)
            tracer.wait()
        assert used["prog"]
        assert used["link"]
        wait_until(lambda: probes.set() == set())
        wait_until(lambda: still_there(used) == {})
        seen = len(done)
        wait_until(lambda: len(done) > seen + 1)
    assert (tmp_path / "out").stat().st_size > 0
    assert ioc.get("A:load") == "299"
    assert ioc.stop() == 0


def wait_until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "not within time"
        time.sleep(0.01)

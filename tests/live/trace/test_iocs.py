"""IOCs side by side, IOCs that come and go."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from epicsmon.events import IocEventKind, SpanKind
from tests.support.clients import CaClient
from tests.support.epics import EpicsLibraries, RealIoc
from tests.support.leftovers import Probes
from tests.support.tracing import Tracer


def database(prefix: str) -> str:
    return f"""
record(ao, "{prefix}:ao") {{ field(FLNK, "{prefix}:calc") }}
record(calc, "{prefix}:calc") {{ field(CALC, "VAL+1") }}
"""


def test_each_of_several_iocs_on_one_library_is_traced_by_its_process(
    make_ioc: Callable[..., RealIoc], epics_libraries: Callable[..., EpicsLibraries]
) -> None:
    shared = epics_libraries()
    one, two, other = (make_ioc(database(name), libraries=shared, name=f"ioc-{name}") for name in ("one", "two", "not"))
    with Tracer(one, two) as tracer:
        for ioc, name in ((one, "one"), (other, "not"), (two, "two")):
            ioc.put(f"{name}:ao", "5")
        for ioc, name in ((one, "one"), (two, "two")):
            chain = tracer.chain(f"{name}:ao", SpanKind.PUT_FIELD)
            assert {(span.pid, span.ioc) for span in chain.spans} == {(ioc.pid, f"ioc-{name}")}
            assert [span.record for span in chain.spans] == [f"{name}:ao", f"{name}:ao", f"{name}:calc"]
        counters = tracer.finish()
        assert (counters.seen, counters.lost) == (8, 0), (
            "dbPutField, dbPut and two of dbProcess in each; of the third none"
        )
    assert {chain.root.pid for chain in tracer.chains} == {one.pid, two.pid}


def test_iocs_with_libraries_of_their_own_are_traced_side_by_side(make_ioc: Callable[..., RealIoc]) -> None:
    one, two = (make_ioc(database(name), name=f"ioc-{name}") for name in ("one", "two"))
    assert one.libraries.dbcore.stat().st_ino != two.libraries.dbcore.stat().st_ino
    with Tracer("ioc-*") as tracer:
        assert {subject.name for subject in tracer.source.traced} >= {"ioc-one", "ioc-two"}
        for ioc, name in ((one, "one"), (two, "two")):
            ioc.put(f"{name}:ao", "5")
            assert tracer.chain(f"{name}:ao", SpanKind.PUT_FIELD).root.pid == ioc.pid
        ids = [span.span_id for chain in tracer.chains for span in chain.spans]
        assert len(ids) == len(set(ids))
        assert tracer.finish().lost == 0


def test_an_ioc_that_is_not_wanted_is_not_touched(make_ioc: Callable[..., RealIoc]) -> None:
    wanted, other = make_ioc(database("w"), name="wanted"), make_ioc(database("o"), name="other")
    with Tracer("wan*") as tracer:
        assert [subject.ioc.pid for subject in tracer.source.traced] == [wanted.pid]
        assert Probes.of(wanted).set()
        assert not Probes.of(other).set()


def test_an_ioc_that_starts_later_is_found_and_one_that_ends_is_let_go(
    make_ioc: Callable[..., RealIoc], tmp_path: Path
) -> None:
    name = f"later-{os.getpid()}"
    with Tracer(f"{name}*") as tracer:
        assert tracer.source.traced == ()
        first = make_ioc(database("one"), name=f"{name}-1")
        event = tracer.wait_for(lambda: tracer.ioc_events[:1])[0]
        assert (event.kind, event.pid, event.name) == (IocEventKind.FOUND, first.pid, f"{name}-1")
        assert event.detail.startswith("traced by")
        first.put("one:ao", "1")
        tracer.chain("one:ao", SpanKind.PUT_FIELD)
        first.stop()
        gone = tracer.wait_for(lambda: tracer.ioc_events[1:])[0]
        assert (gone.kind, gone.pid, gone.name) == (IocEventKind.EXITED, first.pid, f"{name}-1")
        assert tracer.source.traced == ()
        second = make_ioc(database("two"), name=f"{name}-2")
        tracer.wait_for(lambda: tracer.ioc_events[2:])
        second.put("two:ao", "1")
        tracer.chain("two:ao", SpanKind.PUT_FIELD)
        assert tracer.finish().lost == 0


def test_what_an_ioc_did_before_it_was_killed_is_not_lost(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(database("k"))
    client = libca(ioc)
    client.connect("k:ao")
    ioc.put("k:ao", "0")
    with Tracer(ioc, reading=False) as tracer:
        client.burst("k:ao", 500)
        os.kill(ioc.pid, signal.SIGKILL)
        ioc.stop()
        tracer.source.look_around()
        tracer.read()
        tracer.wait_for(lambda: [event for event in tracer.ioc_events if event.kind is IocEventKind.EXITED])
        counters = tracer.finish()
        assert counters.delivered >= 500 * 4
        assert counters.lost <= 4, "at most what was under way when it was killed"
    # Its memory has gone before its events were read: records that were not asked for by then have no names.
    puts = [chain for chain in tracer.chains if chain.root.kind is SpanKind.PUT_FIELD]
    assert [chain.root.value for chain in puts[:500]] == [float(n) for n in range(500)]


def test_an_ioc_that_ends_under_load_leaves_a_balanced_account(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(database("e"))
    client = libca(ioc)
    with Tracer(ioc) as tracer:
        client.burst("e:ao", 3000)
        assert ioc.stop() == 0, "it ends through its exit handlers, with the probes in"
        tracer.wait_for(lambda: [event for event in tracer.ioc_events if event.kind is IocEventKind.EXITED])
        assert tracer.finish().delivered >= 3000 * 4


def test_an_ioc_with_broken_type_tables_is_refused_with_the_reason_and_the_others_are_traced(
    make_ioc: Callable[..., RealIoc],
) -> None:
    broken, sound = make_ioc(database("b"), name="broken"), make_ioc(database("s"), name="sound")
    with damaged(broken), Tracer(broken, sound) as tracer:
        assert [subject.name for subject in tracer.source.traced] == ["sound"]
        [event] = tracer.wait_for(lambda: [one for one in tracer.ioc_events if one.pid == broken.pid])
        assert event.name == "broken"
        assert event.detail.startswith("not traced: ")
        assert "type tables" in event.detail or "cannot read" in event.detail, event.detail
        assert not Probes.of(broken).set()
        sound.put("s:ao", "1")
        tracer.chain("s:ao", SpanKind.PUT_FIELD)
        time.sleep(2.5)
        assert len([one for one in tracer.ioc_events if one.pid == broken.pid]) == 1, "said once"
        assert tracer.finish().lost == 0
    broken.put("b:ao", "2")
    assert broken.get("b:ao") == "2"


class damaged:  # noqa: N801 - reads as what it does
    """While open, the first record type of an IOC claims to have 30 000 fields."""

    def __init__(self, ioc: RealIoc) -> None:
        from epicsmon.ioc import find_ioc

        with find_ioc(ioc.pid) as seen:
            self._at = seen.record_types.types[0].address + 120  # dbRecordType.no_fields
        self._pid = ioc.pid
        self._before = b""

    def _write(self, data: bytes) -> bytes:
        with open(f"/proc/{self._pid}/mem", "r+b", buffering=0) as memory:
            before = os.pread(memory.fileno(), len(data), self._at)
            os.pwrite(memory.fileno(), data, self._at)
            return before

    def __enter__(self) -> None:
        self._before = self._write((30_000).to_bytes(2, "little"))

    def __exit__(self, *exc: object) -> None:
        self._write(self._before)

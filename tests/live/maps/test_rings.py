"""Records on their way from programs to Python, through both kinds of rings."""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Iterator

import pytest

from pybpf.kernel.constants import ProgramType, RingFlag
from pybpf.kernel.fd import FdClosed
from pybpf.kernel.prog_ops import prog_load, prog_test_run
from pybpf.maps import Array, PerfEventArray, RingBuffer
from pybpf.types import Struct, u64
from tests.support.tiny_programs import PACKET, fill_ring, perf_output, return_value


class Numbered(Struct):
    number: u64
    zero: u64


@pytest.fixture
def lost() -> Iterator[Array[int]]:
    """Element 0: records that found no room; element 1: the running number."""
    with Array(value=u64, max_entries=2, name="lost").create() as live:
        yield live


def test_records_arrive_in_order_and_every_loss_is_counted(lost: Array[int]) -> None:
    with (
        RingBuffer(mmap.PAGESIZE).create() as ring,
        prog_load(ProgramType.SOCKET_FILTER, fill_ring(ring.fileno(), lost.fileno(), 100, size=64)) as program,
    ):
        seen: list[int] = []
        for _ in range(20):
            prog_test_run(program, PACKET)
            ring.consume(lambda view: seen.append(u64.unpack(view)))  # type: ignore[attr-defined]
        assert ring.pending() == 0
    assert lost[1] == 2000
    assert len(seen) + lost[0] == lost[1], "seen = delivered + lost"
    assert lost[0] > 0, "56 records of 64 bytes fit a page"
    assert seen == sorted(set(seen))


def test_a_consumer_beside_a_busy_producer_loses_nothing_uncounted(lost: Array[int]) -> None:
    with (
        RingBuffer(1 << 16).create() as ring,
        prog_load(ProgramType.SOCKET_FILTER, fill_ring(ring.fileno(), lost.fileno(), 50, size=24)) as program,
    ):
        producer = threading.Thread(target=prog_test_run, args=(program, PACKET), kwargs={"repeat": 4000})
        seen: list[int] = []
        producer.start()
        while producer.is_alive():
            ring.poll(0.01)
            ring.consume(lambda view: seen.append(u64.unpack(view)))  # type: ignore[attr-defined]
        producer.join()
        ring.consume(lambda view: seen.append(u64.unpack(view)))  # type: ignore[attr-defined]
    assert lost[1] == 200_000
    assert len(seen) + lost[0] == 200_000
    assert all(a < b for a, b in zip(seen, seen[1:]))


def test_discarded_records_are_never_seen(lost: Array[int]) -> None:
    with (
        RingBuffer(mmap.PAGESIZE).create() as ring,
        prog_load(ProgramType.SOCKET_FILTER, fill_ring(ring.fileno(), lost.fileno(), 30, discard=True)) as program,
    ):
        for _ in range(20):
            prog_test_run(program, PACKET)
            assert ring.consume(lambda view: pytest.fail(f"saw {bytes(view)!r}")) == 0
    assert lost[0] == 0, "their space is used again"


def test_read_gives_typed_records_and_ends_after_its_timeout(lost: Array[int]) -> None:
    with (
        RingBuffer(mmap.PAGESIZE).create() as ring,
        prog_load(ProgramType.SOCKET_FILTER, fill_ring(ring.fileno(), lost.fileno(), 5)) as program,
    ):
        prog_test_run(program, PACKET)
        assert list(ring.read(Numbered, timeout=0.01)) == [Numbered(number=i, zero=0) for i in range(5)]


@pytest.mark.parametrize("flags", [0, RingFlag.NO_WAKEUP, RingFlag.FORCE_WAKEUP])
def test_a_sleeping_reader_wakes_for_a_record(lost: Array[int], flags: int) -> None:
    with (
        RingBuffer(mmap.PAGESIZE).create() as ring,
        prog_load(ProgramType.SOCKET_FILTER, fill_ring(ring.fileno(), lost.fileno(), 1, flags=flags)) as program,
    ):
        timer = threading.Timer(0.1, prog_test_run, args=(program, PACKET))
        timer.start()
        start = time.monotonic()
        assert ring.poll(20)
        waited = time.monotonic() - start
        timer.join()
        assert 0.05 < waited < 5
        assert ring.consume(lambda view: None) == 1


def test_poll_gives_up_in_time() -> None:
    with RingBuffer(mmap.PAGESIZE).create() as ring:
        start = time.monotonic()
        assert not ring.poll(0.12)
        assert time.monotonic() - start < 2


def test_a_small_ring_is_raised_to_a_page() -> None:
    with RingBuffer(64).create() as ring:
        assert ring.size == ring.info().max_entries == mmap.PAGESIZE


def test_a_closed_ring_says_so() -> None:
    ring = RingBuffer(mmap.PAGESIZE, name="events").create()
    ring.close()
    with pytest.raises(FdClosed, match="map events"):
        ring.poll(0)


def test_the_program_keeps_the_ring_when_its_reader_goes(lost: Array[int]) -> None:
    ring = RingBuffer(mmap.PAGESIZE).create()
    with prog_load(ProgramType.SOCKET_FILTER, fill_ring(ring.fileno(), lost.fileno(), 10)) as program:
        ring.close()
        prog_test_run(program, PACKET)
    assert (lost[0], lost[1]) == (0, 10)


def run_on(cpu: int, program: object, repeat: int) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        prog_test_run(program, PACKET, repeat=repeat)  # type: ignore[arg-type]
    finally:
        os.sched_setaffinity(0, before)


def test_perf_rings_carry_records_of_every_cpu() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with (
        PerfEventArray(pages=4).create("perf") as perf,
        prog_load(ProgramType.SOCKET_FILTER, perf_output(perf.fileno(), b"tick")) as program,
    ):
        for cpu in cpus:
            run_on(cpu, program, 3)
        assert perf.poll(1)
        seen: list[bytes] = []
        assert perf.consume(lambda view: seen.append(bytes(view)), limit=1) == 1
        perf.consume(lambda view: seen.append(bytes(view)))
        assert {data.rstrip(b"\0") for data in seen} == {b"tick"}
        assert len(seen) == 3 * len(cpus)
        assert (perf.pending(), perf.lost) == (0, 0)
        run_on(cpus[0], program, 2)
        assert list(perf.read(u64, timeout=0.01)) == [int.from_bytes(b"tick", "little")] * 2


def test_perf_rings_report_what_they_lost() -> None:
    cpu = min(os.sched_getaffinity(0))
    with (
        PerfEventArray(pages=1).create("perf") as perf,
        prog_load(ProgramType.SOCKET_FILTER, perf_output(perf.fileno(), b"tick")) as program,
    ):
        run_on(cpu, program, 5000)
        seen = perf.consume(lambda view: None)
        run_on(cpu, program, 1)
        seen += perf.consume(lambda view: None)
        assert perf.lost > 0
        assert seen + perf.lost == 5001


def test_a_sleeping_reader_of_perf_rings_wakes() -> None:
    with (
        PerfEventArray(pages=1).create("perf") as perf,
        prog_load(ProgramType.SOCKET_FILTER, perf_output(perf.fileno(), b"tick")) as program,
    ):
        timer = threading.Timer(0.1, prog_test_run, args=(program, PACKET))
        timer.start()
        assert perf.poll(20)
        timer.join()
        assert perf.consume(lambda view: None) == 1


def test_closed_perf_rings_say_so() -> None:
    perf = PerfEventArray(pages=1).create("perf")
    perf.close()
    with pytest.raises(FdClosed, match="perf"):
        perf.poll(0)
    with prog_load(ProgramType.SOCKET_FILTER, return_value()) as other:
        assert other.fileno() >= 0

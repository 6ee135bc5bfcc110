"""The ring buffer's consumer over memory laid out as the kernel lays it out, in an anonymous file."""

from __future__ import annotations

import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpf.kernel.fd import FdClosed, OwnedFd
from pybpf.ringbuf import BATCH, BUSY, DISCARD, RingConsumer, fence
from pybpf.types import Struct, u32, u64

PAGE = mmap.PAGESIZE
SIZE = 4 * PAGE


class Record(Struct):
    number: u64
    kind: u32


class Ring:
    """The producer's side: the same bytes at both places where the kernel maps its data."""

    def __init__(self, start: int = 0) -> None:
        self.file = OwnedFd(os.memfd_create("ring"), "ring")
        os.ftruncate(self.file.fileno(), 2 * PAGE + 2 * SIZE)
        self.head = start
        self._put(0, struct.pack("=Q", start))
        self._put(PAGE, struct.pack("=Q", start))
        self.consumer = RingConsumer(self.file, SIZE)

    def _put(self, offset: int, data: bytes) -> None:
        os.pwrite(self.file.fileno(), data, offset)

    def reserve(self, payload: bytes, flags: int = 0) -> int:
        """Add a record; returns its position, with which ``submit`` clears the busy bit."""
        record = struct.pack("=II", len(payload) | flags, 0) + payload
        at = self.head & (SIZE - 1)
        for base in (0, SIZE):
            for i in range(0, len(record), 8):
                where = (at + i) % SIZE
                self._put(2 * PAGE + base + where, record[i : i + 8])
        position = self.head
        self.head += -(-len(record) // 8) * 8
        self._put(PAGE, struct.pack("=Q", self.head))
        return position

    def submit(self, position: int, length: int) -> None:
        for base in (0, SIZE):
            self._put(2 * PAGE + base + (position & (SIZE - 1)), struct.pack("=I", length))

    @property
    def consumed(self) -> int:
        """The position the kernel sees."""
        return int(struct.unpack("=Q", os.pread(self.file.fileno(), 8, 0))[0])

    @property
    def free(self) -> int:
        return SIZE - (self.head - self.consumed)


@contextmanager
def ring(start: int = 0) -> Iterator[Ring]:
    made = Ring(start)
    try:
        yield made
    finally:
        made.consumer.close()
        made.file.close()


def drain(made: Ring, limit: int | None = None) -> list[bytes]:
    seen: list[bytes] = []
    count = made.consumer.consume(lambda view: seen.append(bytes(view)), limit)
    assert count == len(seen)
    return seen


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.binary(min_size=1, max_size=500)),
        st.tuples(st.just("discard"), st.binary(min_size=1, max_size=500)),
        st.tuples(st.just("consume"), st.none() | st.integers(1, 5)),
    ),
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 1 << 40).map(lambda n: n * 8))
def test_what_is_submitted_is_consumed_once_in_order_whatever_the_wrap(
    steps: list[tuple[str, object]], start: int
) -> None:
    waiting: list[bytes] = []
    with ring(start) as made:
        for what, argument in steps:
            if what == "consume":
                limit = argument if isinstance(argument, int) else None
                expected = waiting[:limit]
                assert drain(made, limit) == expected
                del waiting[: len(expected)]
            elif isinstance(argument, bytes) and made.free >= len(argument) + 16:
                made.reserve(argument, DISCARD if what == "discard" else 0)
                if what == "submit":
                    waiting.append(argument)
        assert drain(made) == waiting
        assert made.consumed == made.head
        assert made.consumer.pending() == 0


def test_a_busy_record_holds_up_those_behind_it_until_it_is_submitted() -> None:
    with ring() as made:
        made.reserve(b"first")
        position = made.reserve(b"second", BUSY)
        made.reserve(b"third")
        assert drain(made) == [b"first"]
        assert drain(made) == []
        assert made.consumed == 16
        made.submit(position, len(b"second"))
        assert drain(made) == [b"second", b"third"]


def test_a_discarded_record_at_the_end_gives_its_space_back() -> None:
    with ring() as made:
        made.reserve(b"gone", DISCARD)
        assert drain(made) == []
        assert made.consumed == made.head


def test_a_record_whose_callback_fails_is_not_delivered_again() -> None:
    with ring() as made:
        for payload in (b"a", b"b", b"c"):
            made.reserve(payload)
        seen: list[bytes] = []

        def fail_on_b(view: memoryview) -> None:
            seen.append(bytes(view))
            if bytes(view) == b"b":
                raise RuntimeError("b")

        with pytest.raises(RuntimeError, match="b"):
            made.consumer.consume(fail_on_b)
        assert made.consumed == 32
        made.consumer.consume(fail_on_b)
        assert seen == [b"a", b"b", b"c"]


def test_the_view_is_read_only_and_dead_after_the_call() -> None:
    kept: list[memoryview] = []
    with ring() as made:
        made.reserve(b"abcd")
        made.consumer.consume(kept.append)
        with pytest.raises(ValueError, match="released"):
            bytes(kept[0])
        made.reserve(b"efgh")
        with pytest.raises(TypeError, match="read-only"):
            made.consumer.consume(lambda view: view.__setitem__(0, 1))


def test_a_slice_kept_too_long_stays_readable_after_close() -> None:
    kept: list[memoryview] = []
    with ring() as made:
        made.reserve(b"abcd")
        made.consumer.consume(lambda view: kept.append(view[1:3]))
    assert bytes(kept[0]) == b"bc"
    kept[0].release()


def test_more_records_than_a_batch() -> None:
    with ring() as made:
        count = SIZE // 16
        assert count > BATCH
        for i in range(count):
            made.reserve(struct.pack("=H", i))
        assert made.free == 0
        assert drain(made) == [struct.pack("=H", i) for i in range(count)]


def records(made: Ring, count: int, first: int = 0) -> list[Record]:
    made_records = [Record(number=first + i, kind=i % 3) for i in range(count)]
    for record in made_records:
        made.reserve(record.pack() + b"tail")
    return made_records


def test_read_decodes_and_ends_when_nothing_comes() -> None:
    with ring() as made:
        expected = records(made, 5)
        assert list(made.consumer.read(Record, timeout=0)) == expected
        assert made.consumed == made.head


def test_leaving_the_loop_leaves_the_rest_in_the_ring() -> None:
    with ring() as made:
        expected = records(made, 5)
        reader = made.consumer.read(Record, timeout=0)
        assert next(reader) == expected[0]
        assert next(reader) == expected[1]
        reader.close()  # type: ignore[attr-defined]
        assert list(made.consumer.read(Record, timeout=0)) == expected[2:]


def test_consuming_inside_of_a_reading_loop_takes_each_record_once() -> None:
    with ring() as made:
        expected = records(made, 6)
        seen: list[Record] = []
        for record in made.consumer.read(Record, timeout=0):
            seen.append(record)
            made.consumer.consume(lambda view: seen.append(Record.unpack(view)), limit=1)
        assert seen == expected


def test_read_passes_over_discarded_records() -> None:
    with ring() as made:
        made.reserve(bytes(24), DISCARD)
        expected = records(made, 1)
        made.reserve(bytes(24), DISCARD)
        assert list(made.consumer.read(Record, timeout=0)) == expected
        assert made.consumed == made.head


def test_a_record_too_short_for_its_type_is_an_error_and_gone() -> None:
    with ring() as made:
        made.reserve(b"short")
        expected = records(made, 1)
        with pytest.raises(ValueError, match="16 bytes"):
            list(made.consumer.read(Record, timeout=0))
        assert list(made.consumer.read(Record, timeout=0)) == expected


def test_poll_waits_no_longer_than_it_is_told() -> None:
    with ring() as made:
        assert not made.consumer.poll(0)
        assert not made.consumer.poll(0.02)
        made.reserve(b"x")
        assert made.consumer.poll(0)


def test_using_a_closed_ring_says_so() -> None:
    with ring() as made:
        made.consumer.close()
        made.consumer.close()
        for use in (made.consumer.pending, made.consumer.poll, lambda: drain(made)):
            with pytest.raises(FdClosed, match="ring"):
                use()


def test_closing_inside_of_the_loop_ends_it_with_an_error() -> None:
    with ring() as made:
        records(made, 2)
        reader = made.consumer.read(Record, timeout=0)
        next(reader)
        made.consumer.close()
        with pytest.raises(FdClosed):
            next(reader)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_fence_leaves_its_lock_free(machine: str) -> None:
    lock = threading.Lock()
    fence(machine, lock)
    assert lock.acquire(blocking=False)

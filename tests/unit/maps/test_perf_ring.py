"""One CPU's perf ring over memory laid out as the kernel lays it out, in an anonymous file."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from pybpf.kernel.fd import OwnedFd
from pybpf.perfbuf import HEAD_OFFSET, TAIL_OFFSET, PerfRing

PAGE = mmap.PAGESIZE
SIZE = PAGE
LOST, COMM, SAMPLE = 2, 3, 9


class Producer:
    def __init__(self, start: int) -> None:
        self.file = OwnedFd(os.memfd_create("perf"), "perf")
        os.ftruncate(self.file.fileno(), PAGE + SIZE)
        self.head = start
        for offset in (HEAD_OFFSET, TAIL_OFFSET):
            os.pwrite(self.file.fileno(), struct.pack("=Q", start), offset)
        self.ring = PerfRing(self.file, SIZE)

    def record(self, kind: int, body: bytes) -> None:
        data = struct.pack("=IHH", kind, 0, 8 + len(body)) + body
        for i in range(0, len(data), 8):
            os.pwrite(self.file.fileno(), data[i : i + 8], PAGE + (self.head + i) % SIZE)
        self.head += len(data)
        os.pwrite(self.file.fileno(), struct.pack("=Q", self.head), HEAD_OFFSET)

    def sample(self, payload: bytes) -> None:
        padded = payload.ljust(-(-(len(payload) + 4) // 8) * 8 - 4, b"\0")
        self.record(SAMPLE, struct.pack("=I", len(padded)) + padded)

    def drain(self) -> list[bytes]:
        seen = []
        head = self.ring.head()
        while (view := self.ring.next(head)) is not None:
            seen.append(bytes(view))
            view.release()
        self.ring.publish()
        return seen

    @property
    def consumed(self) -> int:
        return int(struct.unpack("=Q", os.pread(self.file.fileno(), 8, TAIL_OFFSET))[0])


@contextmanager
def producer(start: int = 0) -> Iterator[Producer]:
    made = Producer(start)
    try:
        yield made
    finally:
        made.ring.close()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(min_size=1, max_size=300), st.integers(1, 1000), st.just(None), st.just("drain")),
        max_size=80,
    ),
    st.integers(0, 1 << 40).map(lambda n: n * 8),
)
def test_samples_come_in_order_and_losses_are_counted_whatever_the_wrap(steps: list[object], start: int) -> None:
    waiting: list[bytes] = []
    lost = 0
    with producer(start) as made:
        for step in [*steps, "drain"]:
            if SIZE - (made.head - made.consumed) < 400 or step == "drain":
                seen = made.drain()
                assert [data.rstrip(b"\0") for data in seen] == [data.rstrip(b"\0") for data in waiting]
                assert all(0 <= len(data) - len(sent) < 8 for data, sent in zip(seen, waiting))
                assert made.consumed == made.head
                waiting = []
            if isinstance(step, bytes):
                made.sample(step)
                waiting.append(step)
            elif isinstance(step, int):
                made.record(LOST, struct.pack("=QQ", 7, step))
                lost += step
            elif step is None:
                made.record(COMM, b"a" * 24)
        made.drain()
        assert made.ring.lost == lost


def test_a_record_without_a_size_does_not_hold_the_reader_for_ever() -> None:
    with producer() as made:
        made.record(0, b"")
        os.pwrite(made.file.fileno(), bytes(8), PAGE)
        made.sample(b"after")
        assert made.drain() == []
        assert made.consumed == made.head
        made.sample(b"next")
        assert made.drain() == [b"next"]

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ca.header import Buffer
from epicsmon.puts.limits import Budget, Limits
from epicsmon.puts.stream import Pushed, Stream

SENT = bytes(range(256)) * 4
START = 0xFFFFFF80


class Recorder:
    """What a stream passed on: the bytes, with zeros for holes, and how long the holes are."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.known: list[bool] = []
        self.holes: list[tuple[int, int]] = []

    def data(self, time_ns: int, chunk: Buffer) -> None:
        self.bytes += chunk
        self.known += [True] * len(chunk)

    def hole(self, time_ns: int, size: int) -> None:
        self.holes.append((time_ns, size))
        self.bytes += bytes(size)
        self.known += [False] * size


def stream(limits: Limits | None = None) -> tuple[Stream, Recorder, Budget]:
    recorder, budget = Recorder(), Budget(1 << 30)
    made = Stream(recorder, limits or Limits(), budget)
    made.start(START)
    return made, recorder, budget


def push(made: Stream, begin: int, end: int, time_ns: int = 0, captured: int | None = None) -> Pushed:
    chunk = SENT[begin:end]
    return made.push(time_ns, (START + begin) & 0xFFFFFFFF, chunk[:captured], len(chunk))


SPANS = st.tuples(st.integers(0, 1000), st.integers(1, 300), st.one_of(st.none(), st.integers(0, 300)))


@given(st.lists(SPANS, max_size=40), st.lists(st.integers(0, 1024), max_size=10))
def test_each_byte_is_passed_on_once_and_right_or_counted_as_a_hole(
    spans: list[tuple[int, int, int | None]], acks: list[int]
) -> None:
    acks.sort()
    made, recorder, budget = stream(Limits(waiting_segments=5, waiting_bytes=800))
    for i, (begin, size, captured) in enumerate(spans):
        push(made, begin, min(begin + size, len(SENT)), time_ns=i, captured=captured)
        if i < len(acks):
            made.acknowledge(i, (START + acks[i]) & 0xFFFFFFFF)
        assert len(made.waiting) <= 5
    made.flush(99)
    assert made.position == len(recorder.bytes) <= len(SENT)
    assert all(got == sent for got, sent, known in zip(recorder.bytes, SENT, recorder.known) if known)
    assert budget.used == made.held == 0
    ends = [min(begin + size, len(SENT)) for begin, size, _ in spans]
    reached = max([0, *ends, *acks[: len(spans)]])
    assert made.position == reached


@given(st.permutations(range(16)))
def test_segments_in_any_order_make_the_stream(order: list[int]) -> None:
    made, recorder, _ = stream()
    for i in order:
        push(made, i * 64, (i + 1) * 64)
    assert bytes(recorder.bytes) == SENT
    assert recorder.holes == []


def test_an_overlapping_retransmission_adds_only_what_is_new() -> None:
    made, recorder, _ = stream()
    push(made, 0, 100)
    assert push(made, 50, 100) is Pushed.DUPLICATE
    assert push(made, 50, 150) is Pushed.TAKEN
    assert bytes(recorder.bytes) == SENT[:150]


def test_a_hole_is_given_up_only_as_far_as_it_was_acknowledged() -> None:
    made, recorder, _ = stream()
    push(made, 0, 10)
    assert push(made, 30, 40) is Pushed.WAITING
    made.acknowledge(5, (START + 20) & 0xFFFFFFFF)
    assert recorder.holes == [(5, 10)]
    push(made, 20, 30)
    assert recorder.known == [True] * 10 + [False] * 10 + [True] * 20


def test_the_end_of_the_stream_is_no_missing_byte() -> None:
    made, recorder, _ = stream()
    push(made, 0, 10)
    made.end(START + 10)
    made.acknowledge(1, START + 11)
    made.flush(2)
    assert recorder.holes == []


def test_what_was_acknowledged_at_the_end_and_never_seen_is_a_hole() -> None:
    made, recorder, _ = stream()
    push(made, 0, 10)
    made.acknowledge(1, START + 42)
    assert made.unseen() == 32
    made.flush(2)
    assert recorder.holes == [(2, 32)]


def test_a_far_sequence_number_is_foreign() -> None:
    made, _, _ = stream()
    assert made.push(0, START + (1 << 27) & 0xFFFFFFFF, b"x", 1) is Pushed.FOREIGN
    assert made.push(0, START - (1 << 27) & 0xFFFFFFFF, b"x", 1) is Pushed.FOREIGN
    assert made.position == 0

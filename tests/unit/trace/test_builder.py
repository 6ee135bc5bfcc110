from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.events import Chain, Span, SpanKind, Trigger
from epicsmon.trace.builder import Built, ChainBuilder
from epicsmon.trace.calls import RawCall, decode_call
from tests.support.calls import PID, Call, CallRecorder, ImageIoc, trees
from tests.support.iocimage import RecordSpec

RECORDS = ("A", "B", "C", "D")
OFFSET = 1_700_000_000_000_000_000


class Bench:
    """A builder with a synthetic IOC: records A and D are calcs, B an ao, C a waveform."""

    def __init__(self, max_pending: int = 100_000) -> None:
        kinds = dict(zip(RECORDS, ("calc", "ao", "waveform", "calc")))
        values = {"A": struct.pack("<d", 1.5), "D": struct.pack("<d", 4.0), "B": struct.pack("<d", -2.0)}
        specs = [
            RecordSpec(name, kind, values={"VAL": values[name]} if name in values else {})
            for name, kind in kinds.items()
        ]
        self.ioc = ImageIoc(specs)
        self.subject = self.ioc.traced()
        self.builder = ChainBuilder(self.subject, max_pending)
        self.recorder = CallRecorder(self.ioc, self.subject)

    def calls(self, call: Call, tid: int = PID, comm: bytes = b"CAS-client") -> list[RawCall]:
        return [decode_call(memoryview(event)) for event in self.recorder.make(call, tid, comm)]

    def feed(self, calls: Iterable[RawCall]) -> list[Built]:
        return [built for call in calls for built in self.builder.add(call, OFFSET)]

    def flush(self) -> list[Built]:
        return list(self.builder.flush(OFFSET))

    def chain(self, call: Call, tid: int = PID, comm: bytes = b"CAS-client") -> Chain:
        [built] = self.feed(self.calls(call, tid, comm))
        assert self.builder.pending == 0
        return built.chain


def process(record: str, *calls: Call) -> Call:
    return Call(SpanKind.PROCESS, record, list(calls))


def put_field(record: str, *calls: Call, value: float = 0.0) -> Call:
    return Call(SpanKind.PUT_FIELD, record, list(calls), value)


def put(record: str, *calls: Call, value: float = 0.0) -> Call:
    return Call(SpanKind.PUT, record, list(calls), value)


def put_notify(record: str, *calls: Call) -> Call:
    return Call(SpanKind.PUT_NOTIFY, record, list(calls))


def shape(chain: Chain, span: Span | None = None) -> tuple[object, ...]:
    span = span or chain.root
    return (span.kind, span.record, tuple(shape(chain, child) for child in chain.children(span)))


def shape_of(call: Call) -> tuple[object, ...]:
    """What shall come out: a dbPut of the field of the dbPutField around it is part of that."""
    inner: list[Call] = []
    for child in call.calls:
        merged = child.kind is SpanKind.PUT and (
            call.kind is SpanKind.PUT_NOTIFY or (call.kind is SpanKind.PUT_FIELD and child.record == call.record)
        )
        inner += child.calls if merged else [child]
    return (call.kind, call.record, tuple(shape_of(child) for child in inner))


def test_siblings_are_siblings() -> None:
    chain = Bench().chain(process("A", process("B"), process("C"), process("D")))
    assert [span.record for span in chain.children(chain.root)] == ["B", "C", "D"]
    assert chain.depth == 2


def test_nested_calls_are_nested() -> None:
    chain = Bench().chain(process("A", process("B", process("C", process("D")))))
    assert [(depth, span.record) for depth, span in chain.walk()] == [(0, "A"), (1, "B"), (2, "C"), (3, "D")]


@given(trees(RECORDS))
def test_any_tree_of_calls_comes_out_as_it_was(call: Call) -> None:
    bench = Bench()
    [built] = bench.feed(bench.calls(call))
    assert shape(built.chain) == shape_of(call)
    assert built.calls == sum(1 for _ in call.walk())
    assert bench.flush() == []


@given(st.lists(st.tuples(trees(RECORDS, 5), st.integers(1, 3)), max_size=8), st.randoms(use_true_random=False))
def test_threads_do_not_mix(calls: list[tuple[Call, int]], shuffle: random.Random) -> None:
    bench = Bench()
    streams: dict[int, list[RawCall]] = {}
    for call, tid in calls:
        streams.setdefault(tid, []).extend(bench.calls(call, tid))
    found = []
    while streams:
        tid = shuffle.choice(sorted(streams))
        found += [built.chain for built in bench.feed([streams[tid].pop(0)])]
        if not streams[tid]:
            del streams[tid]
    expected = [(tid, shape_of(call)) for call, tid in calls]
    assert sorted(map(repr, expected)) == sorted(repr((chain.root.tid, shape(chain))) for chain in found)
    assert bench.builder.pending == 0


@given(st.lists(trees(RECORDS, 8), min_size=1, max_size=4), st.data())
def test_whatever_is_lost_the_rest_comes_out_once_under_its_nearest_ancestor(
    calls: list[Call], data: st.DataObject
) -> None:
    bench = Bench()
    events = [raw for call in calls for raw in bench.calls(call)]
    keep = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
    kept = [raw for raw, is_kept in zip(events, keep) if is_kept]
    built = bench.feed(kept) + bench.flush()
    assert sum(one.calls for one in built) == len(kept)
    assert bench.builder.pending == 0
    ids = bench.subject.ids
    known = {ids.span(raw.tid, raw.start): raw for raw in kept}
    seen: set[int] = set()
    for chain, _ in built:
        assert {span.trace_id for span in chain.spans} == {chain.root.trace_id}
        for span in chain.spans:
            raw = known[span.span_id]
            assert span.trace_id == ids.trace(raw.tid, raw.root)
            assert span.span_id not in seen
            seen.add(span.span_id)
            top = known[chain.root.span_id]
            assert top.start <= raw.start <= raw.end <= top.end
            if span is not chain.root:
                assert span.parent_id is not None
    # What is missing among the spans are dbPuts that went into the call around them.
    for missing in set(known) - seen:
        assert known[missing].kind is SpanKind.PUT


def test_calls_whose_root_was_lost_come_out_when_the_thread_goes_on() -> None:
    bench = Bench()
    lost = bench.calls(process("A", process("B", process("C")), process("D")))[:-1]
    assert bench.feed(lost) == []
    built = bench.feed(bench.calls(process("D")))
    assert [shape(one.chain) for one in built] == [
        (SpanKind.PROCESS, "B", ((SpanKind.PROCESS, "C", ()),)),
        (SpanKind.PROCESS, "D", ()),
        (SpanKind.PROCESS, "D", ()),
    ]
    first, second, last = (one.chain.root for one in built)
    assert first.trace_id == second.trace_id != last.trace_id, "what had one root is one trace"
    assert first.parent_id == second.parent_id is not None
    assert last.parent_id is None
    assert (first.thread, first.trigger) == (None, Trigger.MAIN)


def test_a_call_whose_parent_was_lost_keeps_its_parents_id() -> None:
    bench = Bench()
    calls = bench.calls(process("A", process("B", process("C"))))
    [built] = bench.feed([calls[0], calls[2]])
    [child] = built.chain.children(built.chain.root)
    assert child.record == "C"
    assert child.parent_id == bench.subject.ids.span(PID, calls[1].start)


@pytest.mark.parametrize("outer", [put_field, put_notify])
def test_a_put_and_the_dbput_inside_of_it_are_one_span(outer: Callable[..., Call]) -> None:
    chain = Bench().chain(outer("A", put("A", process("D"), value=7.5), process("A", process("B"))))
    assert shape(chain)[0] in (SpanKind.PUT_FIELD, SpanKind.PUT_NOTIFY)
    assert [span.record for span in chain.children(chain.root)] == ["D", "A"]
    assert (chain.root.record, chain.root.record_type, chain.root.field) == ("A", "calc", "VAL")


def test_a_put_notify_has_the_value_of_the_put_inside() -> None:
    chain = Bench().chain(put_notify("A", put("A", value=7.5), process("A")))
    assert (chain.root.kind, chain.root.value) == (SpanKind.PUT_NOTIFY, 7.5)
    assert len(chain.spans) == 2


def test_a_put_notify_without_its_put_is_a_span_without_a_record() -> None:
    chain = Bench().chain(put_notify("A", process("A")))
    assert (chain.root.record, chain.root.field, chain.root.value) == (None, None, None)


def test_a_put_to_another_field_is_a_span_of_its_own() -> None:
    chain = Bench().chain(put_field("A", put("B", value=1.0), process("A")))
    assert [(span.kind, span.record) for span in chain.children(chain.root)] == [
        (SpanKind.PUT, "B"),
        (SpanKind.PROCESS, "A"),
    ]


def test_a_put_through_a_link_is_a_span_of_its_own() -> None:
    chain = Bench().chain(process("A", put("B", value=3.25), process("B")))
    first, second = chain.children(chain.root)
    assert (first.kind, first.record, first.field, first.value) == (SpanKind.PUT, "B", "VAL", 3.25)
    assert (second.kind, second.record, second.value) == (SpanKind.PROCESS, "B", -2.0)


def test_a_span_says_what_the_record_was_left_with() -> None:
    bench = Bench()
    span = bench.chain(process("A"), tid=PID + 1, comm=b"scan-0.1").root
    assert (span.record, span.record_type, span.value) == ("A", "calc", 1.5)
    assert (span.status, span.severity, span.active) == ("NO_ALARM", "NO_ALARM", False)
    assert (span.thread, span.trigger, span.tid, span.pid, span.ioc) == (
        "scan-0.1",
        Trigger.SCAN,
        PID + 1,
        PID,
        "image",
    )
    assert span.start_ns == OFFSET + 1_000_000
    assert span.duration_ns == 700


def test_a_record_that_could_not_be_read_has_a_name_and_no_value() -> None:
    bench = Bench()
    [call] = bench.calls(process("A"))
    [built] = bench.feed([call._replace(readable=False)])
    root = built.chain.root
    assert (root.record, root.value, root.status, root.severity, root.active) == ("A", None, None, None, None)


def test_of_a_record_at_the_end_of_memory_its_own_bytes_count() -> None:
    bench = Bench()
    [call] = bench.calls(process("B"))
    garbage = bytes(len(call.window) - bench.subject.layout.certain_size)
    cut = call._replace(window=call.window[: bench.subject.layout.certain_size] + garbage, whole=False)
    [built] = bench.feed([cut])
    assert (built.chain.root.value, built.chain.root.status) == (-2.0, "NO_ALARM")


@pytest.mark.parametrize("outer", [put_field, put_notify])
def test_a_put_value_that_could_not_be_read_is_not_zero(outer: Callable[..., Call]) -> None:
    bench = Bench()
    calls = [call._replace(readable=False) for call in bench.calls(outer("A", put("A", value=9.0)))]
    [built] = bench.feed(calls)
    assert (built.chain.root.record, built.chain.root.field, built.chain.root.value) == ("A", "VAL", None)


def test_a_wild_record_pointer_is_no_record() -> None:
    bench = Bench()
    [call] = bench.calls(process("A"))
    [built] = bench.feed([call._replace(subject=0xDEAD0000)])
    assert (built.chain.root.record, built.chain.root.record_type, built.chain.root.value) == (None, None, 1.5)


def test_calls_without_a_root_do_not_pile_up() -> None:
    bench = Bench(max_pending=10)
    chains: list[Built] = []
    for tid in range(1, 9):
        chains += bench.feed(bench.calls(process("A", process("B"), process("C"), process("D")), tid)[:-1])
        assert bench.builder.pending <= 10
    assert {one.chain.root.tid for one in chains} == {1, 2, 3, 4, 5}, "those of the oldest threads give way"
    assert sum(one.calls for one in chains + bench.flush()) == 8 * 3


def test_one_thread_that_makes_more_calls_than_may_wait_gives_them_in_parts() -> None:
    bench = Bench(max_pending=50)
    calls = bench.calls(process("A", *(process("B", process("C")) for _ in range(100))))
    built = bench.feed(calls)
    assert sum(one.calls for one in built) == 201
    assert built[-1].chain.root.record == "A"
    assert len({one.chain.root.trace_id for one in built}) == 1


def test_the_parts_of_a_long_lost_chain_cost_time_in_proportion() -> None:
    bench = Bench()
    calls = bench.calls(process("A", *(process("B") for _ in range(20_000))))[:-1]
    bench.feed(calls)
    built = bench.flush()
    assert len(built) == 20_000, "this took minutes when each part was looked for among all"


@given(
    st.lists(
        st.builds(
            RawCall,
            start=st.integers(1, 50),
            end=st.integers(1, 50),
            parent=st.integers(0, 50),
            root=st.integers(1, 50),
            subject=st.integers(0, 2**64 - 1),
            pid=st.just(PID),
            tid=st.integers(1, 3),
            kind=st.sampled_from(SpanKind),
            depth=st.integers(0, 3),
            readable=st.booleans(),
            whole=st.booleans(),
            comm=st.binary(max_size=16),
            window=st.binary(max_size=200),
            put=st.none(),
        ),
        max_size=30,
        unique_by=lambda call: (call.tid, call.start),
    )
)
def test_calls_that_make_no_sense_are_all_accounted_for(calls: list[RawCall]) -> None:
    bench = Bench()
    built = bench.feed(calls) + bench.flush()
    assert sum(one.calls for one in built) == len(calls)

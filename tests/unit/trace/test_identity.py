from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from epicsmon.trace.identity import CallIds, boot_id

tids = st.integers(1, 2**32 - 1)
times = st.integers(1, 2**64 - 1)


@given(tids, times)
def test_any_observer_computes_the_same_ids(tid: int, start: int) -> None:
    mine, yours = CallIds("boot", 7, 99), CallIds("boot", 7, 99)
    assert mine.span(tid, start) == yours.span(tid, start)
    assert mine.trace(tid, start) == yours.trace(tid, start)


@given(st.lists(st.tuples(tids, times), unique=True, min_size=2, max_size=20))
def test_two_calls_have_two_ids(calls: list[tuple[int, int]]) -> None:
    ids = CallIds("boot", 7, 99)
    assert len({ids.span(*call) for call in calls}) == len(calls)
    assert len({ids.trace(*call) for call in calls}) == len(calls)


@given(tids, times)
def test_ids_fit_their_formats_and_are_never_zero(tid: int, start: int) -> None:
    ids = CallIds("boot", 7, 99)
    assert 0 < ids.span(tid, start) < 1 << 64
    assert 1 << 64 < ids.trace(tid, start) < 1 << 128, "a trace id that fits 64 bits would look like a span's"


def test_the_boot_the_process_and_its_start_are_part_of_a_call() -> None:
    same = CallIds("boot", 7, 99)
    for other in (CallIds("reboot", 7, 99), CallIds("boot", 8, 99), CallIds("boot", 7, 100), CallIds("boot", 79, 9)):
        assert other.span(1, 2) != same.span(1, 2)
        assert other.trace(1, 2) != same.trace(1, 2)


def test_a_trace_and_a_span_of_the_same_call_do_not_share_digits() -> None:
    ids = CallIds("boot", 7, 99)
    assert ids.trace(1, 2) >> 64 != ids.span(1, 2) != ids.trace(1, 2) & (1 << 64) - 1


def test_the_boot_id_is_the_kernels(tmp_path: Path) -> None:
    file = tmp_path / "boot_id"
    file.write_text("0b4c9d2e-1111\n")
    assert boot_id(str(file)) == "0b4c9d2e-1111"
    assert boot_id() == boot_id()

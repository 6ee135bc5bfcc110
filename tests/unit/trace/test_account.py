from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from epicsmon.events import Stage
from epicsmon.trace.account import Account
from epicsmon.trace.probes import ProbeCounts

numbers = st.integers(0, 10_000)
TIME = 1_700_000_000_000_000_000


def test_a_run_without_loss_is_balanced() -> None:
    account = Account()
    account.receive(10)
    account.deliver(10)
    assert account.losses(ProbeCounts(seen=10), TIME, closing=True) == []
    assert account.counters.to_json() == {"seen": 10, "delivered": 10, "filtered": 0, "lost": 0}
    assert account.counters.balanced


@given(numbers, numbers, numbers, numbers, numbers, numbers, numbers, numbers, numbers)
def test_what_the_kernel_saw_is_delivered_or_lost_and_every_loss_is_a_gap(
    good: int, full: int, deep: int, left: int, still_open: int, threads: int, garbage: int, strangers: int, late: int
) -> None:
    account = Account()
    account.receive(good + strangers + late)
    account.deliver(good)
    gaps = []
    if garbage:
        gaps.append(account.garbage(garbage, TIME))
    if strangers:
        gaps.append(account.strangers(strangers, TIME))
    seen = good + full + deep + left + still_open + threads + garbage + strangers + late
    gaps += account.losses(ProbeCounts(seen, full, deep, left, still_open, threads), TIME, closing=True)
    assert account.counters.balanced
    assert account.counters.filtered == late
    assert account.counters.lost == sum(gap.lost for gap in gaps)
    assert all(gap.lost > 0 and gap.time_ns == TIME for gap in gaps)


def test_a_call_that_nobody_can_account_for_shows() -> None:
    account = Account()
    account.receive(9)
    account.deliver(9)
    account.losses(ProbeCounts(seen=10), TIME, closing=True)
    assert not account.counters.balanced


def test_each_loss_is_told_once_and_by_its_stage() -> None:
    account = Account()
    first = account.losses(ProbeCounts(seen=20, ring_full=5, too_deep=1, open=3), TIME)
    assert [(gap.stage, gap.lost) for gap in first] == [(Stage.RING, 5), (Stage.SOURCE, 1)]
    assert account.losses(ProbeCounts(seen=30, ring_full=5, too_deep=1, open=2), TIME) == []
    last = account.losses(ProbeCounts(seen=40, ring_full=7, too_deep=1, open=2, untracked=4), TIME, closing=True)
    assert [(gap.stage, gap.lost) for gap in last] == [(Stage.RING, 2), (Stage.SOURCE, 4), (Stage.SOURCE, 2)]
    assert account.counters.lost == 7 + 1 + 4 + 2
    assert len({gap.detail for gap in [*first, *last]}) == 4, "each kind of loss has its own words"

"""Which events pass the globs a person typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.agent.filters import NameFilter
from epicsmon.events import Chain
from tests.support.events import chain, put, span


@pytest.mark.parametrize(
    ("globs", "name", "passes"),
    [
        ([], "A", True),
        (["LINAC:*"], "LINAC:Q1", True),
        (["LINAC:*"], "RING:Q1", False),
        (["linac:*"], "LINAC:Q1", False),
        (["LINAC:*", "RING:*"], "RING:Q1", True),
        (["!*:HEARTBEAT"], "A:HEARTBEAT", False),
        (["!*:HEARTBEAT"], "A", True),
        (["LINAC:*", "!*:HEARTBEAT"], "LINAC:HEARTBEAT", False),
        (["!*:HEARTBEAT", "LINAC:*"], "RING:Q1", False),
        (["HV:RAMP"], "HV:RAMP.VAL", True),
        (["HV:RAMP"], "HV:RAMP2.VAL", False),
        (["HV:RAMP.VAL"], "HV:RAMP.HIHI", False),
        (["HV:RAMP.VAL"], "HV:RAMP", False),
        (["!HV:RAMP"], "HV:RAMP.VAL", False),
        (["*:Q[12]"], "A:Q1", True),
        (["*"], None, False),
        (["!A"], None, True),
        ([], None, True),
    ],
)
def test_names(globs: list[str], name: str | None, passes: bool) -> None:
    assert NameFilter(globs).accepts_name(name) is passes


def test_puts_to_unknown_channels_that_are_left_out_are_counted() -> None:
    names = NameFilter(["LINAC:*"])
    assert [names.accepts(p) for p in (put(), put(pv=None), put(pv="X"))] == [True, False, False]
    assert names.unknown_filtered == 1


def test_a_chain_passes_when_one_of_its_records_does() -> None:
    assert NameFilter(["HV:STEP"]).accepts(chain())
    assert not NameFilter(["VAC:*"]).accepts(chain())
    assert NameFilter(["!HV:STEP"]).accepts(chain())
    assert not NameFilter(["!HV:STEP"]).accepts(Chain((span(record="HV:STEP"),)))


@given(st.text(max_size=8), st.none() | st.text(max_size=8))
def test_a_glob_and_its_negation_never_agree_on_a_known_name(glob: str, name: str | None) -> None:
    if not glob.startswith("!") and name is not None:
        assert NameFilter([glob]).accepts_name(name) is not NameFilter(["!" + glob]).accepts_name(name)

"""The demo passes only when what was captured is what happened."""

from __future__ import annotations

import dataclasses
import re

import pytest

from epicsmon.demo.check import PARENTS, check_chains, check_puts
from epicsmon.demo.system import DATABASE
from epicsmon.events import Chain, Endpoint, Provenance, PutEvent, Span, SpanKind

MADE = [{"pv": "DEMO:A"}, {"pv": "DEMO:A"}, {"pv": "DEMO:B"}]


def put(pv: str | None) -> PutEvent:
    here, there = Endpoint("127.0.0.1", 40000), Endpoint("127.0.0.1", 5064)
    source = None if pv is None else Provenance.WIRE
    return PutEvent(1, pv, source, 1.0, 6, 1, False, here, there, "operator", "opi", 1)


def chain(parents: dict[str, str | None]) -> Chain:
    """A dbPutField with a chain of records beneath, as the IOC would make it."""
    first = Span(1, 1, None, SpanKind.PUT_FIELD, "DEMO:Magnet:CurrentSet", "ao", "VAL", 0, 100, 7, 7, "demo")
    numbers = {record: number for number, record in enumerate(parents, 2)}
    spans = [
        dataclasses.replace(
            first,
            span_id=numbers[record],
            parent_id=1 if parent is None else numbers[parent],
            kind=SpanKind.PROCESS,
            record=f"DEMO:{record}",
            start_ns=numbers[record],
        )
        for record, parent in parents.items()
    ]
    return Chain((first, *spans))


def test_all_puts_logged_passes():
    assert check_puts(MADE, [put("DEMO:A"), put("DEMO:A"), put("DEMO:B")]).passed


@pytest.mark.parametrize(
    ("logged", "complaint"),
    [
        (["DEMO:A", "DEMO:B"], "DEMO:A: 2 made, 1 logged"),
        (["DEMO:A", "DEMO:A", "DEMO:A", "DEMO:B"], "DEMO:A: 2 made, 3 logged"),
        (["DEMO:A", "DEMO:A", "DEMO:B", "DEMO:C"], "DEMO:C: 0 made, 1 logged"),
        ([], "DEMO:B: 1 made, 0 logged"),
    ],
)
def test_a_difference_is_named(logged, complaint):
    result = check_puts(MADE, map(put, logged))
    assert not result.passed
    assert complaint in result.text


def test_a_put_without_a_name_does_not_count_as_logged():
    assert not check_puts(MADE, [put("DEMO:A"), put("DEMO:A"), put(None)]).passed


def test_no_put_at_all_is_a_failure():
    assert not check_puts([], []).passed


def test_the_whole_chain_passes():
    assert check_chains([chain(dict(PARENTS))], "DEMO:").passed


@pytest.mark.parametrize("lost", [record for record in PARENTS if record not in PARENTS.values()])
def test_a_record_that_is_missing_is_named(lost):
    result = check_chains([chain({record: parent for record, parent in PARENTS.items() if record != lost})], "DEMO:")
    assert not result.passed
    assert lost in result.text


def test_siblings_hung_under_each_other_fail():
    result = check_chains([chain({**PARENTS, "Magnet:Power": "Magnet:Field"})], "DEMO:")
    assert not result.passed
    assert "Magnet:Power" in result.text


def test_no_chain_is_a_failure():
    assert not check_chains([], "DEMO:").passed


def test_every_record_expected_is_in_the_database():
    assert set(PARENTS) <= set(re.findall(r'"\$\(P\)([^"]+)"\) \{', DATABASE.read_text()))

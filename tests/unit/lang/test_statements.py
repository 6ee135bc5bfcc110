"""Statements of the language mean what they mean in Python, without a kernel."""

from __future__ import annotations

import pytest

from tests.support.lang.table import MASK, TABLE, Row
from tests.support.snippets import compiled, run_in_python


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name.replace(" ", "_"))
def test_statements(row: Row) -> None:
    assert run_in_python(row.statements + "\nreturn 1", row.functions, row.methods).out[0] == row.expected & MASK


def test_two_cpus_that_begin_an_element_lose_nothing() -> None:
    """The second one finds the element that the first one put there: the count goes on, it does not begin again."""
    text = str(compiled("self.counts[1] += 1\nreturn 0"))
    assert text.count("bpf_map_lookup_elem") == 2
    assert text.count("lock") == 1

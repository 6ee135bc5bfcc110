"""Statements of the language mean in the kernel what they mean in Python."""

from __future__ import annotations

import pytest

from tests.support.lang.table import MASK, TABLE, Row
from tests.support.snippets import run


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name.replace(" ", "_"))
def test_statements(row: Row) -> None:
    assert run(row.statements + "\nreturn 1", row.functions, row.methods).out[0] == row.expected & MASK


def test_fields_beyond_the_reach_of_an_offset() -> None:
    functions = """
    class Huge(Struct):
        head: u64
        middle: list[int] = array(u8, 40_000)
        tail: u64
    """
    methods = "huge = Array(value=Huge, max_entries=1)"
    statements = """
    huge = self.huge.lookup(0)
    if huge is None:
        return 0
    huge.tail = 7
    huge.tail += ctx.u8(5)
    huge.middle[39_999] = 9
    self.out[0] = huge.tail * 10 + huge.middle[39_999]
    return 1
    """
    assert run(statements, functions, methods).out[0] == 129

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


def test_steps_are_atomic_where_all_cpus_see_them_and_only_there() -> None:
    shared = str(compiled("self.out[1] += 1\nself.out[2] |= 4\nself.out[3] -= ctx.len\nreturn 0"))
    assert shared.count("lock") == 3
    field = "m = self.mixed.lookup(0)\nif m is None:\n    return 0\n"
    assert str(compiled(field + "m.wide += 1\nm.word ^= 3\nreturn 0")).count("lock") == 2
    assert "lock" not in str(compiled(field + "m.half += 1\nm.wide *= 3\nreturn 0"))
    assert "lock" not in str(compiled("self.per_cpu[0] += 1\np = Pair()\np.left += 1\nreturn 0"))


def test_a_name_for_a_value_costs_nothing() -> None:
    plain = compiled("self.out[0] = ctx.u8(1) + 5\nreturn 0").instructions
    named = compiled("a = ctx.u8(1)\nb = a\nc = 5\nd = b + c\nself.out[0] = d\nreturn 0").instructions
    assert len(plain) == len(named)


def test_the_dead_branch_of_a_constant_is_not_looked_at() -> None:
    assert compiled("if self.limit == 4:\n    return nonsense\nreturn 0", methods="limit = Constant(u32, default=3)")

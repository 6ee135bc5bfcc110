"""Statements of the language mean in the kernel what they mean in Python; one row each."""

from __future__ import annotations

import pytest

from tests.support.snippets import run

MASK = (1 << 64) - 1

# name, statements (byte n of the packet is n), what out[0] is then
TABLE = [
    ("a constant minus a variable", "x = ctx.u8(15); x = 100 - x; self.out[0] = x", 85),
    ("a shift of a variable by itself", "x = ctx.u8(3); x = u64(ctx.u8(5)) << x; self.out[0] = x", 40),
    ("a quotient in place of its divisor", "x = ctx.u8(7); x = u64(ctx.u8(63)) // x; self.out[0] = x", 9),
    ("a remainder in place of its divisor", "x = ctx.u8(7); x = u64(ctx.u8(62)) % x; self.out[0] = x", 6),
    ("division by zero gives zero", "n = 0; n = 0; self.out[0] = ctx.u8(9) // n", 0),
    ("a remainder by zero is the dividend", "n = 0; n = 0; self.out[0] = ctx.u8(9) % n", 9),
    ("shift counts are taken modulo 64", "n = 68; n = 68; self.out[0] = u64(ctx.u8(3)) << n", 48),
]


@pytest.mark.parametrize(("statements", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_statements(statements: str, expected: int) -> None:
    assert run(statements + "\nreturn 1").out[0] == expected & MASK


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

"""Whatever Python a program is made of, the compiler compiles it or says what is wrong: nothing else comes out."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from pybpf.lang.errors import CompileError, CompilerDefect
from tests.support.lang.soup import FUNCTIONS, METHODS, PROLOGUE, Soup, library_functions, library_program
from tests.support.snippets import compiled

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")

EXAMPLES = int(os.environ.get("PYBPF_EXAMPLES", "300"))
SEEDS = st.integers(0, (1 << 32) - 1)


def is_told(statements: str) -> bool:
    """Whether the program compiles; a mistake in it must be told with its place."""
    try:
        compiled(statements, FUNCTIONS, METHODS)
    except CompilerDefect:
        raise
    except CompileError as error:
        assert error.source is not None or "stack" in error.message
        assert error.message
        return True
    except SyntaxError:
        return False
    return True


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(SEEDS)
def test_any_statements(seed: int) -> None:
    text = PROLOGUE + Soup(seed).program()
    note(text)
    is_told(text)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10_000), st.one_of(st.none(), SEEDS))
def test_functions_of_the_standard_library(index: int, seed: int | None) -> None:
    text = PROLOGUE + library_program(index, seed)
    note(text)
    is_told(text)


def test_most_of_it_is_valid_python() -> None:
    assert len(library_functions()) > 500
    assert sum(is_told(PROLOGUE + Soup(seed).program()) for seed in range(40)) > 20


@pytest.mark.parametrize(
    "statements",
    [
        "return " + "(" * 90 + "1" + ")" * 90,
        "return " + "+".join(["ctx.u8(1)"] * 700),
        "x = 0\n"
        + "\n".join(f"{'    ' * n}if ctx.u8({n}):" for n in range(90))
        + "\n"
        + "    " * 90
        + "x = 1\nreturn x",
        "return 1 << (1 << 60)",
        "return (1 << 4000) * (1 << 4000)",
        "return 2 ** (10 ** 9)",
        "for x in range(3):\n    pass\nreturn x",
        "return 5 in range(10 ** 12)",
    ],
)
def test_extremes(statements: str) -> None:
    is_told(statements)

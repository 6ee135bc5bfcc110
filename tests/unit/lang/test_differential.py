"""Random programs compute in the machine of Python what the rules of the language say; no verifier is asked."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, note, reject, settings
from hypothesis import strategies as st

from pybpf.lang import CompileError
from pybpf.vm import run_in_vm
from tests.support.lang.differential import PACKETS, check
from tests.support.lang.programs import programs
from tests.support.snippets import text_of

EXAMPLES = int(os.environ.get("PYBPF_EXAMPLES", "60"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.lists(PACKETS, min_size=3, max_size=3))
def test_random_programs(program: tuple[str, str], packets: list[bytes]) -> None:
    statements, methods = program
    note(statements)
    note(methods)
    try:
        check(text_of(statements, methods=methods), packets, run_in_vm)
    except CompileError as error:
        assert "bytes of stack" in str(error), error
        reject()

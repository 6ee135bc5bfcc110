"""Random programs compute in the kernel what the rules of the language say.

``PYBPF_EXAMPLES=5000`` looks further than the everyday number.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, note, reject, settings
from hypothesis import strategies as st

from pybpf.lang import CompileError
from pybpf.verifier import VerifierError
from tests.support.lang.differential import PACKETS, check
from tests.support.lang.programs import programs
from tests.support.snippets import text_of

EXAMPLES = int(os.environ.get("PYBPF_EXAMPLES", "60"))
TOO_MUCH = ("too complex", "too large", "Processed", "processed", "stack")


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.lists(PACKETS, min_size=2, max_size=2))
def test_random_programs(program: tuple[str, str], packets: list[bytes]) -> None:
    statements, methods = program
    note(statements)
    note(methods)
    try:
        check(text_of(statements, methods=methods), packets, lambda blueprint: blueprint.load())
    except CompileError as error:
        assert "bytes of stack" in str(error), error
        reject()
    except VerifierError as error:
        assert any(words in str(error) for words in TOO_MUCH), error
        reject()

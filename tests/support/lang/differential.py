"""A program run, and what the rules of the language say it must leave behind, compared."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Callable

from hypothesis import strategies as st

from pybpf.types import unpack
from tests.support.lang.reference import Reference
from tests.support.snippets import module_of

_WORDS = st.sampled_from([0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x12345678])
PACKETS = st.lists(st.one_of(_WORDS, st.integers(0, 0xFFFFFFFF)), min_size=16, max_size=16).map(
    lambda words: b"".join(word.to_bytes(4, "big") for word in words)
)
MAPS = ("out", "mixed", "pairs", "counts", "inputs")


def check(text: str, packets: Sequence[bytes], start: Callable[[Any], AbstractContextManager[Any]]) -> None:
    """Run the module's program on each packet, by ``start`` and by the rules, and compare all that it leaves."""
    with module_of(text) as module, start(module.Program()) as program:
        reference = Reference(ast.parse(text), vars(module), b"")
        for packet in packets:
            reference.packet = packet
            expected = reference.call("program", [None, None])
            assert program.program.test_run(bytes(14) + packet).return_value == expected
            for name in MAPS:
                spec = reference.specs[name]
                wanted = {
                    unpack(spec.key, key): unpack(spec.value, bytes(value))
                    for key, value in reference.elements(name).items()
                }
                assert dict(getattr(program, name).items()) == wanted, name

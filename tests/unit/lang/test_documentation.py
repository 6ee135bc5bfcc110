"""docs/pybpf/language.md: every piece of a program on it compiles, and stores or says what the page says."""

from __future__ import annotations

import re

import pytest

from pybpf.lang import helpers
from pybpf.lang.errors import CompileError
from pybpf.lang.lower.calls import is_map
from pybpf.lang.surface import kernel_call
from pybpf.vm import run_in_vm
from tests.support.documented import ROOT
from tests.support.documented_programs import Piece, pieces_of
from tests.support.snippets import PACKET, module_of

PAGE = "docs/pybpf/language.md"
PIECES = pieces_of(PAGE)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.place)
def test_pieces_do_what_the_page_says(piece: Piece) -> None:
    with module_of(piece.module) as module:
        assert is_map(module.Example.out)
        if piece.error is not None:
            with pytest.raises(CompileError) as caught:
                module.Example().compile()
            assert f"{caught.value.message}\nhint: {caught.value.hint}\n" == piece.error
            return
        program = run_in_vm(module.Example())
        assert program.program(PACKET) == 1
        assert {index: program.out[index] for index in piece.stored} == piece.stored
        assert piece.stored


def test_there_are_pieces_of_both_kinds() -> None:
    assert len([piece for piece in PIECES if piece.error]) >= 4
    assert len([piece for piece in PIECES if piece.stored]) >= 15


def test_every_helper_is_on_the_page_with_the_kernel_that_brought_it() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `(\w+)\([^`]*\)` \| ([\d.]+) \|", text, re.MULTILINE))
    declared = {name: kernel_call(found) for name, found in vars(helpers).items()}
    assert shown == {name: call.since for name, call in declared.items() if call is not None}

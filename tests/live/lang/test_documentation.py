"""docs/pybpf/language.md: the kernel takes every piece of a program on it, and it stores what the page says."""

from __future__ import annotations

import pytest

from tests.support.documented_programs import Piece, pieces_of
from tests.support.snippets import PACKET, module_of

PIECES = [piece for piece in pieces_of("docs/pybpf/language.md") if piece.error is None]


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.place)
def test_pieces_do_what_the_page_says(piece: Piece) -> None:
    with module_of(piece.module) as module, module.Example().load() as program:
        assert program.program.test_run(PACKET).return_value == 1
        assert {index: program.out[index] for index in piece.stored} == piece.stored

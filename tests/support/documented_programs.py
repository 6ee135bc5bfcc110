"""The programs on a page about the language: its pieces put into the program of its first block, compiled and run.

A ``python`` block that defines something (``class``, ``def``) is for all that follow; any other is statements, which
stand where the first block has the comment :data:`PLACE`. ``self.out[n] = ...  # value`` says what is stored there. A
``text`` block right after one is the error that the compiler gives.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass

from tests.support.documented import blocks_of

PLACE = "        # the pieces on this page stand here\n"
_STORED = re.compile(r"self\.out\[(\d+)\] = .*  # (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Piece:
    """Statements of a page: ``place`` is page and line, ``module`` the whole text with them in it."""

    place: str
    module: str
    stored: dict[int, int]
    error: str | None


def pieces_of(page: str) -> list[Piece]:
    """The pieces of ``page``, in order."""
    whole = ""
    found = []
    for block in blocks_of(page):
        if block.language != "python":
            continue
        first = ast.parse(block.text).body[0]
        if isinstance(first, (ast.Import, ast.ImportFrom)):
            assert PLACE in block.text, block.place
            whole = block.text
        elif isinstance(first, (ast.FunctionDef, ast.ClassDef)):
            whole = whole.replace("class Example(", f"{block.text}\n\nclass Example(")
        else:
            stored = {int(index): _number(text) for index, text in _STORED.findall(block.text)}
            module = whole.replace(PLACE, textwrap.indent(block.text, " " * 8))
            found.append(Piece(block.place, module, stored, block.following))
    return found


def _number(text: str) -> int:
    """A constant expression, as 64 bits hold it."""
    return int(eval(text, {"__builtins__": {}})) & ((1 << 64) - 1)

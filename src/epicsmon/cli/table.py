"""Aligned columns of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from epicsmon.text import escape


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, every cell escaped; the last column is not padded."""
    cells = [list(head), *([escape(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()

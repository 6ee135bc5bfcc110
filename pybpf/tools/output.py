"""What the subcommands share: the parser of one, aligned tables, one JSON document."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

    Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def command(
    commands: Subparsers, name: str, summary: str, example: str, run: Callable[[argparse.Namespace, TextIO], int]
) -> argparse.ArgumentParser:
    """The parser of one subcommand, with ``--json`` and its example in ``--help``."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document with stable names")
    parser.set_defaults(run=run)
    return parser


def print_json(out: TextIO, document: Any) -> None:
    """One document, indented: for programs, and for people who pipe it into a pager."""
    json.dump(document, out, indent=2, ensure_ascii=False)
    out.write("\n")


def print_table(out: TextIO, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns two blanks apart; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    numeric = [all(isinstance(row[i], (int, float)) for row in rows) and bool(rows) for i in range(len(head))]
    widths = [max([len(title), *(len(row[i]) for row in cells)]) for i, title in enumerate(head)]
    for line in [list(head), *cells]:
        parts = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(line, widths, numeric)]
        out.write("  ".join(parts).rstrip() + "\n")


def word(kind: type[Any], number: int) -> str:
    """The name of an enum's member in lower case; the number when this toolkit does not know it."""
    try:
        return str(kind(number).name).lower()
    except ValueError:
        return str(number)

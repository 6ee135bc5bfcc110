"""From a Python function to its syntax tree, with the places in its file kept."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from pybpf.asm import SourceLine
from pybpf.lang.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Source:
    """A parsed function and the names that it can see."""

    function: Callable[..., Any]
    node: ast.FunctionDef
    file: str
    first_line: int
    indent: int
    lines: tuple[str, ...]

    def line(self, node: ast.AST) -> SourceLine:
        """Where ``node`` stands in its file; lines count from 1, columns from 0."""
        row = getattr(node, "lineno", 1)
        text = self.lines[row - 1] if 0 < row <= len(self.lines) else ""
        column = getattr(node, "col_offset", 0) + self.indent
        return SourceLine(self.file, self.first_line + row - 1, column, text.rstrip("\n"))

    def lookup(self, name: str) -> Any:
        """The object that ``name`` means outside of the function: closed over, global or built in.

        Raises:
            KeyError: there is none.
        """
        scope = _closure(self.function)
        if name in scope:
            return scope[name]
        if name in self.function.__globals__:
            return self.function.__globals__[name]
        builtins: Any = self.function.__globals__["__builtins__"]
        names = builtins if isinstance(builtins, dict) else vars(builtins)
        return names[name]


def parse(function: Callable[..., Any]) -> Source:
    """Read and parse the text of ``function``.

    Raises:
        CompileError: its text is not at hand (typed at a prompt, or made by exec), or it is no plain function.
    """
    try:
        lines, first_line = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise CompileError(
            f"the source of {getattr(function, '__qualname__', function)!r} is not at hand: {error}",
            hint="programs are compiled from their Python text: put the function into a file",
        ) from error
    text = textwrap.dedent("".join(lines))
    indent = len(lines[0]) - len(lines[0].lstrip())
    node = ast.parse(text).body[0]
    file = inspect.getsourcefile(function) or "<unknown>"
    if not isinstance(node, ast.FunctionDef):
        raise CompileError(f"{file}:{first_line}: a program is a plain function, not {type(node).__name__}")
    return Source(function, node, file, first_line, indent, tuple(lines))


def _closure(function: Callable[..., Any]) -> Mapping[str, Any]:
    cells = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            cells[name] = cell.cell_contents
        except ValueError:
            continue
    return cells

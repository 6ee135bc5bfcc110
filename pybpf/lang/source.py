"""From a Python function to its syntax tree, with the places in its file kept."""

from __future__ import annotations

import ast
import builtins
import inspect
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, cast

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
    lines: tuple[str, ...]

    def line(self, node: ast.AST) -> SourceLine:
        """Where ``node`` stands in its file; lines count from 1, columns, in characters, from 0."""
        row = getattr(node, "lineno", 1)
        text = self.lines[row - 1] if 0 < row <= len(self.lines) else ""
        before = text.encode()[: getattr(node, "col_offset", 0)]
        return SourceLine(self.file, self.first_line + row - 1, len(before.decode(errors="ignore")), text.rstrip("\n"))

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
        found: Any = self.function.__globals__.get("__builtins__", builtins)
        return (found if isinstance(found, dict) else vars(found))[name]


def parse(function: Callable[..., Any]) -> Source:
    """Read and parse the text of ``function``.

    Raises:
        CompileError: its text is not at hand (typed at a prompt, or made by exec), or it is no plain function.
    """
    name = getattr(function, "__qualname__", repr(function))
    if hasattr(function, "__wrapped__"):
        raise CompileError(
            f"{name} is wrapped by a decorator, which the compiler cannot follow", hint="leave the decorator away"
        )
    if not isinstance(function, types.FunctionType):
        raise CompileError(f"{name} is no function but {type(function).__name__}", hint="write it with def")
    try:
        lines, first_line = inspect.getsourcelines(function)
    except (OSError, TypeError, SyntaxError) as error:
        raise CompileError(
            f"the source of {name} is not at hand: {error}",
            hint="programs are compiled from their Python text: put the function into a file",
        ) from error
    first_line = max(first_line, 1)
    file = inspect.getsourcefile(function) or "<unknown>"
    node = _definition("".join(lines))
    if not isinstance(node, ast.FunctionDef):
        kind = "an async function" if isinstance(node, ast.AsyncFunctionDef) else "a lambda or the like"
        place = SourceLine(file, first_line, 0, lines[0].rstrip("\n"))
        raise CompileError(f"a program is a plain function, not {kind}", place, hint="write it with def")
    return Source(function, node, file, first_line, tuple(lines))


def _definition(text: str) -> ast.stmt | None:
    """The statement that ``text`` is, which may be indented as it stands in a class; columns stay those of the file."""
    indented = text[:1] in (" ", "\t")
    try:
        body = ast.parse("if 1:\n" + text if indented else text).body
    except SyntaxError:
        return None
    if not indented:
        return body[0] if body else None
    node = cast("ast.If", body[0]).body[0]
    return ast.increment_lineno(node, -1)


def _closure(function: Callable[..., Any]) -> Mapping[str, Any]:
    cells = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            cells[name] = cell.cell_contents
        except ValueError:
            continue
    return cells

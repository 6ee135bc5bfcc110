"""From a Python function to its syntax tree, with the places in its file kept."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import types
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, cast

from pybpf.asm import SourceLine
from pybpf.lang.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Text:
    """The text of a function, parsed: what all compilations of it share.

    ``first_line`` counts in the file; ``first_row`` is the number that the tree gives that line.
    """

    node: ast.FunctionDef
    file: str
    first_line: int
    first_row: int
    lines: tuple[str, ...]
    assignments: Counter[str]
    """At how many places each local name is assigned; an augmented assignment counts twice."""
    loop_names: Counter[str]
    """The heads of how many loops set each name."""
    has_walrus: bool
    """Whether expressions assign."""


@dataclass(frozen=True)
class Source:
    """A function to compile: its text, and the names that it can see."""

    function: types.FunctionType
    text: Text

    @property
    def node(self) -> ast.FunctionDef:
        """Its syntax tree."""
        return self.text.node

    def line(self, node: ast.AST) -> SourceLine:
        """Where ``node`` stands in its file; lines count from 1, columns, in characters, from 0."""
        text = self.text
        row = getattr(node, "lineno", text.first_row) - text.first_row
        line = text.lines[row] if 0 <= row < len(text.lines) else ""
        column = getattr(node, "col_offset", 0)
        if not line.isascii():
            column = len(line.encode()[:column].decode(errors="ignore"))
        return SourceLine(text.file, text.first_line + row, column, line.rstrip("\n"))

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
    return Source(function, _text(_Code(function.__code__), name))


class _Code:
    """A code object as a key: by identity, because those of different texts (annotations, say) may be equal."""

    def __init__(self, code: types.CodeType) -> None:
        self.code = code

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Code) and other.code is self.code

    def __hash__(self) -> int:
        return id(self.code)


@functools.lru_cache(maxsize=256)
def _text(key: _Code, name: str) -> Text:
    code = key.code
    try:
        lines, first_line = inspect.getsourcelines(code)
    except (OSError, TypeError, SyntaxError) as error:
        raise CompileError(
            f"the source of {name} is not at hand: {error}",
            hint="programs are compiled from their Python text: put the function into a file",
        ) from error
    first_line = max(first_line, 1)
    file = inspect.getsourcefile(code) or "<unknown>"
    # a method stands indented: then a line goes before it, and columns stay those of the file
    first_row = 2 if lines[0][:1] in (" ", "\t") else 1
    node = _definition("".join(lines), indented=first_row == 2)
    if not isinstance(node, ast.FunctionDef):
        kind = "an async function" if isinstance(node, ast.AsyncFunctionDef) else "a lambda or the like"
        place = SourceLine(file, first_line, 0, lines[0].rstrip("\n"))
        raise CompileError(f"a program is a plain function, not {kind}", place, hint="write it with def")
    has_walrus = any(isinstance(child, ast.NamedExpr) for child in ast.walk(node))
    return Text(node, file, first_line, first_row, tuple(lines), assigned_names(node), _loop_names(node), has_walrus)


def _definition(text: str, *, indented: bool) -> ast.stmt | None:
    try:
        body = ast.parse("if 1:\n" + text if indented else text).body
    except SyntaxError:
        return None
    if not indented:
        return body[0] if body else None
    return cast("ast.If", body[0]).body[0]


def assigned_names(node: ast.AST) -> Counter[str]:
    """At how many places each local name is assigned within ``node``; an augmented assignment counts twice."""
    counts: Counter[str] = Counter()
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            counts[child.id] += 1
        elif isinstance(child, ast.AugAssign) and isinstance(child.target, ast.Name):
            counts[child.target.id] += 1
    return counts


def _loop_names(node: ast.AST) -> Counter[str]:
    counts: Counter[str] = Counter()
    for child in ast.walk(node):
        if isinstance(child, ast.For):
            counts.update(assigned_names(child.target))
    return counts


def _closure(function: Callable[..., Any]) -> Mapping[str, Any]:
    cells = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            cells[name] = cell.cell_contents
        except ValueError:
            continue
    return cells

"""The BpfObject classes of a Python file, without running what the file does.

Only definitions are executed: imports, classes, functions, assignments, and the ``if``, ``for`` and ``try`` around
them. Calls and ``with`` blocks of the top level are left out, and so are assignments of what somebody else's function
gives, unless a class or a function uses it: a script that would open sockets and attach its programs does not.
"""

from __future__ import annotations
import __future__

import ast
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybpf.lang import Constant
from pybpf.object import BpfObject


class NotLoadable(Exception):
    """A file whose definitions cannot be executed; ``path``, ``line`` (0: none) and ``reason``."""

    def __init__(self, path: str, line: int, reason: str) -> None:
        self.path = path
        self.line = line
        self.reason = reason
        super().__init__(path, line, reason)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}" if self.line else f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Definitions:
    """The classes of one file, in their order, and the statement that could not be executed, if there was one."""

    path: Path
    classes: tuple[type[BpfObject], ...]
    stopped: str = ""


_KEPT = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_LOOKED_INTO = (ast.If, ast.For, ast.Try)


def read_definitions(path: str | Path) -> Definitions:
    """Execute the definitions of a file; its own BpfObject classes that have programs.

    Raises:
        NotLoadable: it is no Python, or it fails before its first class of programs.
    """
    file = Path(path).resolve()
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise NotLoadable(str(path), 0, error.strerror or str(error)) from None
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise NotLoadable(str(path), getattr(error, "lineno", 0) or 0, f"this is no Python: {error}") from None
    module = types.ModuleType(f"_pybpf_tools_{abs(hash(file))}")
    module.__file__ = str(file)
    # Struct resolves its annotations in the module of the class, and imports of neighbours need their folder.
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(file.parent))
    flags = __future__.annotations.compiler_flag if _postpones_annotations(tree) else 0
    stopped = ""
    try:
        for statement in _definitions(tree.body, _used_by_definitions(tree), _functions(tree)):
            try:
                code = compile(ast.Module([statement], []), str(file), "exec", flags=flags, dont_inherit=True)
                exec(code, vars(module))
            except Exception as error:
                stopped = f"line {statement.lineno}: {type(error).__name__}: {error}"
                if not _classes(module):
                    raise NotLoadable(str(path), statement.lineno, f"{type(error).__name__}: {error}") from error
                break
    finally:
        sys.path.remove(str(file.parent))
        del sys.modules[module.__name__]
    return Definitions(file, _classes(module), stopped)


def _postpones_annotations(tree: ast.Module) -> bool:
    return any(
        isinstance(statement, ast.ImportFrom)
        and statement.module == "__future__"
        and any(alias.name == "annotations" for alias in statement.names)
        for statement in tree.body
    )


def _functions(tree: ast.Module) -> set[str]:
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _used_by_definitions(tree: ast.Module) -> set[str]:
    """The names that classes and functions use, and those that the values of these names use in turn."""
    assignments = [node for node in ast.walk(tree) if isinstance(node, _ASSIGNMENTS)]
    used = {
        name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef)) for name in _names_in(node)
    }
    before = -1
    while len(used) != before:
        before = len(used)
        for node in assignments:
            if node.value is not None and used & _targets(node):
                used |= _names_in(node.value)
    return used


def _names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _targets(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {name for target in targets for name in _names_in(target)}


def _is_wanted(statement: ast.stmt, used: set[str], functions: set[str]) -> bool:
    if not isinstance(statement, _ASSIGNMENTS):
        return isinstance(statement, _KEPT)
    if statement.value is None or used & _targets(statement):
        return True
    calls = [node.func for node in ast.walk(statement.value) if isinstance(node, ast.Call)]
    return not calls or any(isinstance(call, ast.Name) and call.id in functions for call in calls)


def _definitions(body: list[ast.stmt], used: set[str], functions: set[str]) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            continue  # must come first in what is compiled: a flag takes its place
        if isinstance(statement, _LOOKED_INTO):
            for part in ("body", "orelse", "finalbody"):
                inner = _definitions(getattr(statement, part, []), used, functions)
                if part == "body" and not inner:
                    inner = [ast.copy_location(ast.Pass(), statement)]
                if hasattr(statement, part):
                    setattr(statement, part, inner)
        elif not _is_wanted(statement, used, functions):
            continue
        kept.append(statement)
    return kept


def _classes(module: types.ModuleType) -> tuple[type[BpfObject], ...]:
    found = {
        id(value): value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, BpfObject)
        and value.__module__ == module.__name__
        and value._programs
    }
    return tuple(found.values())


def instance(cls: type[BpfObject], settings: dict[str, int]) -> BpfObject:
    """A blueprint with the constants of ``settings`` that it declares.

    Raises:
        NotLoadable: it needs a value for a constant that ``settings`` has not, or one that fits.
    """
    declared: dict[str, Constant[Any]] = cls._constants
    try:
        return cls(**{name: value for name, value in settings.items() if name in declared})
    except (TypeError, OverflowError) as error:
        raise NotLoadable(cls.__name__, 0, f"{error}; give it with --set NAME=VALUE") from None


def setting(text: str) -> tuple[str, int]:
    """``NAME=VALUE`` of the command line; ValueError for anything else."""
    name, _, value = text.partition("=")
    return name.strip(), int(value, 0)

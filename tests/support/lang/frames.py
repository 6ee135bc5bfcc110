"""The names of one function while the reference runs it."""

from __future__ import annotations

import ast
from collections import Counter

from pybpf.types import Scalar
from tests.support.lang.integers import Int, Ref, Value, convert, plain, wrapped


class Frame:
    """The names of one function. One assigned at several places is a variable with a type of its own."""

    def __init__(self, node: ast.FunctionDef) -> None:
        self.places: Counter[str] = Counter(argument.arg for argument in node.args.args)
        loops: Counter[str] = Counter()
        for child in ast.walk(node):
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                self.places[child.id] += 1
            if isinstance(child, ast.AugAssign) and isinstance(child.target, ast.Name):
                self.places[child.target.id] += 1
            if isinstance(child, ast.For) and isinstance(child.target, ast.Name):
                loops[child.target.id] += 1
        self.loops = {name for name, count in loops.items() if count == self.places[name]}
        self.values: dict[str, Value] = {}
        self.kinds: dict[str, str] = {}
        self.declared: dict[str, Scalar] = {}

    def assign(self, name: str, value: Value, declared: Scalar | None, *, loop: bool = False) -> None:
        if self.places[name] < 2 or (loop and name in self.loops) or isinstance(value, Ref) or value is None:
            self.values[name] = value
            return
        if name not in self.kinds:
            if declared is not None:
                self.declared[name] = declared
            kind = value.kind if isinstance(value, Int) else "s" if value < 0 else "u"
            if declared is not None:
                kind = "b" if declared.name == "bool" else "s" if declared.signed else "u"
            self.kinds[name] = kind if declared is not None else kind.replace("b", "u")
        if name in self.declared:
            value = convert(self.declared[name], value)
        self.values[name] = wrapped(plain(value), self.kinds[name])

    def read(self, name: str) -> Value:
        return self.values[name]

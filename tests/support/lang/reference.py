"""The rules of the language once more, as an interpreter: what a program must compute, from its Python text.

It shares nothing with the compiler but the types. Memory is real bytes, so that layout and conversion are checked too.
"""

from __future__ import annotations

import ast
from typing import Any

from pybpf.types import Scalar
from tests.support.lang.expressions import Expressions
from tests.support.lang.frames import Frame
from tests.support.lang.integers import Int, Ref, Value, binary, convert, is_signed, plain


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Return(Exception):
    def __init__(self, value: Value) -> None:
        self.value = value


class Reference(Expressions):
    """Runs the functions of a module by the rules."""

    def call(self, name: str, arguments: list[Value]) -> Value:
        """What the function ``name`` returns."""
        node = self.functions[name]
        frame = Frame(node)
        self.frames.append(frame)
        try:
            for parameter, value in zip(node.args.args, arguments):
                kind = self._scalar(parameter.annotation)
                frame.assign(parameter.arg, value if kind is None else convert(kind, self.number(value)), kind)
            self.body(node.body)
        except _Return as result:
            kind = self._scalar(node.returns)
            return result.value if kind is None else convert(kind, self.number(result.value))
        finally:
            self.frames.pop()
        return None

    def body(self, nodes: list[ast.stmt]) -> None:
        """Run statements in order."""
        for node in nodes:
            getattr(self, f"run_{type(node).__name__}")(node)

    def run_Pass(self, node: ast.Pass) -> None:
        pass

    def run_Expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def run_Return(self, node: ast.Return) -> None:
        raise _Return(None if node.value is None else self.value(node.value))

    def run_Break(self, node: ast.Break) -> None:
        raise _Break

    def run_Continue(self, node: ast.Continue) -> None:
        raise _Continue

    def run_Assign(self, node: ast.Assign) -> None:
        self.assign(node.targets[0], self.value(node.value))

    def run_AnnAssign(self, node: ast.AnnAssign) -> None:
        assert node.value is not None
        self.assign(node.target, self.value(node.value), self._scalar(node.annotation))

    def assign(self, target: ast.expr, value: Value, kind: Scalar | None = None) -> None:
        if isinstance(target, ast.Name):
            taken = self.taken(target.id, value)
            self.frame.assign(target.id, taken if kind is None else convert(kind, self.number(value)), kind)
            return
        place = self.place(target)
        if isinstance(place, tuple):
            spec, key = place
            element = self.elements(spec.name).setdefault(key, bytearray(spec.value_size))
            place = Ref(element, 0, spec.value)
        self.store(place, value)

    def place(self, node: ast.expr) -> Ref | tuple[Any, bytes]:
        """Where an assignment goes: memory, or an element of a map."""
        if isinstance(node, ast.Attribute):
            return self.field(self.value(node.value), node.attr)
        assert isinstance(node, ast.Subscript)
        if isinstance(node.value, ast.Attribute) and self._is_self(node.value.value):
            spec = self.specs[node.value.attr]
            return spec, self.key(spec, self.value(node.slice))
        return self.element(self.value(node.value), self.value(node.slice))

    def run_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            before = self.number(self.frame.read(node.target.id))
            self.frame.assign(node.target.id, binary(node.op, before, self.number(self.value(node.value))), None)
            return
        place = self.place(node.target)
        if isinstance(place, tuple):
            spec, key = place
            amount = self.number(self.value(node.value))
            place = Ref(self.elements(spec.name).setdefault(key, bytearray(spec.value_size)), 0, spec.value)
            self.store(place, binary(node.op, self.load(place), amount))
            return
        before = self.load(place)
        self.store(place, binary(node.op, before, self.number(self.value(node.value))))

    def run_If(self, node: ast.If) -> None:
        self.body(node.body if self.truth(node.test) else node.orelse)

    def run_While(self, node: ast.While) -> None:
        while self.truth(node.test):
            try:
                self.body(node.body)
            except _Break:
                return
            except _Continue:
                continue

    def run_For(self, node: ast.For) -> None:
        assert isinstance(node.target, ast.Name)
        values: list[Value]
        if isinstance(node.iter, ast.Call):
            bounds = [self.number(self.value(argument)) for argument in node.iter.args]
            numbers = [plain(bound) for bound in bounds]
            signed = (len(numbers) > 2 and numbers[2] < 0) or any(is_signed(b) or plain(b) < 0 for b in bounds[:2])
            values = [Int(i, "s" if signed else "u") for i in range(*numbers)]
        else:
            values = [self.value(item) for item in node.iter.elts]  # type: ignore[attr-defined]
        for value in values:
            self.frame.assign(node.target.id, value, None, loop=True)
            try:
                self.body(node.body)
            except _Break:
                return
            except _Continue:
                continue

"""Functions of a module, or undecorated methods of the program's class, compiled in place of their call."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any, Callable

from pybpf.lang import source
from pybpf.lang.errors import CompileError
from pybpf.lang.lower import arguments, arithmetic, declarations, memory, names, statements
from pybpf.lang.lower.choices import Choice
from pybpf.lang.lower.state import Frame
from pybpf.lang.values import Nothing, Owner, Static, Value

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering

_DEEPEST = 64


def call(lo: Lowering, node: ast.Call, function: Callable[..., Any], receiver: Owner | None) -> Value:
    """The value that ``function`` returns for the arguments of ``node``; ``receiver`` is the self of a method."""
    code = function.__code__
    if any(frame.source.function.__code__ is code for frame in [*lo.stack, lo.frame]):
        lo.error(node, f"{function.__name__} calls itself: recursion is not in the language", hint="use a bounded loop")
    if len(lo.stack) > _DEEPEST:
        lo.error(node, f"more than {_DEEPEST} functions call each other here")
    lo.copied(node)
    try:
        frame = Frame(source.parse(function))
    except CompileError as error:
        lo.error(node, error.message, error.hint)
    values = _arguments(lo, node, function, receiver)
    outer, outer_line = lo.frame, lo.line
    lo.stack.append(outer)
    lo.frame = frame
    choice = frame.choice = Choice(lo, function.__name__)
    frame.returns = declarations.of_signature(lo, frame.source.node.returns)
    for parameter in _parameters(frame.source.node):
        _bind(lo, parameter, values[parameter.arg])
    statements.body(lo, frame.source.node.body)
    if lo.flow is not None:
        if frame.returns is not None:
            last = frame.source.node.body[-1]
            lo.error(last, f"{function.__name__} may end here without a return", hint=f"it gives {frame.returns.name}")
        choice.give(lo, frame.source.node, Nothing())
    lo.stack.pop()
    lo.frame, lo.line = outer, outer_line
    return choice.result(lo, node)


def _parameters(node: ast.FunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _bind(lo: Lowering, parameter: ast.arg, value: Value) -> None:
    """Give a parameter its argument, converted where its annotation is an integer type."""
    kind = declarations.of_signature(lo, parameter.annotation)
    if kind is not None:
        value = arithmetic.convert(lo, parameter, kind, memory.integer(lo, parameter, value), explicit=False)
    names.assign(lo, parameter, parameter.arg, value, kind)


def _arguments(lo: Lowering, node: ast.Call, function: Callable[..., Any], receiver: Owner | None) -> dict[str, Value]:
    signature = inspect.signature(function)
    values = arguments.bound(lo, node, function.__name__, signature, receiver)
    result: dict[str, Value] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            lo.error(node, f"{function.__name__} takes *{name}, which is not in the language")
        result[name] = values[name].value if name in values else Static(parameter.default)
    return result

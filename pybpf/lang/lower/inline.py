"""Functions of a module, or undecorated methods of the program's class, compiled in place of their call."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any, Callable, cast

from pybpf.asm import AluOp
from pybpf.lang import ir, source
from pybpf.lang.lower import expressions, memory, statements
from pybpf.lang.lower.state import Flow, Frame, Variable, merge
from pybpf.lang.values import S64, Nothing, Number, Owner, Pointer, Static, Value, kind_of

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering


def call(lo: Lowering, node: ast.Call, function: Callable[..., Any]) -> Value:
    """The value that ``function`` returns for the arguments of ``node``."""
    if any(frame.source.function is function for frame in [*lo.stack, lo.frame]):
        lo.error(node, f"{function.__name__} calls itself: recursion is not in the language", hint="use a bounded loop")
    frame = Frame(source.parse(function))
    arguments = _arguments(lo, node, function)
    outer, outer_line = lo.frame, lo.line
    lo.stack.append(outer)
    lo.frame = frame
    frame.join = lo.new_block(f"{function.__name__}.end")
    for name, value in arguments.items():
        statements.bind_parameter(lo, name, value)
    statements.body(lo, frame.source.node.body)
    if lo.flow is not None:
        _leave(lo, frame, node, Nothing())
    lo.stack.pop()
    lo.frame, lo.line = outer, outer_line
    lo.start(frame.join)
    lo.flow = _outer_flow(frame)
    return _result(lo, frame)


def give_back(lo: Lowering, node: ast.Return, value: Value) -> None:
    """A ``return`` inside of an inlined function."""
    _leave(lo, lo.frame, node, value)


def _leave(lo: Lowering, frame: Frame, node: ast.AST, value: Value) -> None:
    if isinstance(value, Static) and value.value is None:
        value = Nothing()
    if frame.result is None:
        frame.result = Variable("return", _home(lo, value), mutable=True)
    home = frame.result.value
    if isinstance(value, Pointer) and isinstance(home, Pointer) and home.target == value.target:
        base = value.base
        target = cast("ir.VReg", home.base)
        if isinstance(base, ir.Slot):
            lo.emit(ir.Address(target, slot=base, offset=value.offset))
        elif value.offset:
            lo.emit(ir.Alu(target, [base, value.offset], op=AluOp.ADD))
        else:
            lo.emit(ir.Move(target, [base]))
    elif isinstance(value, (Number, Static)) and isinstance(home, Number):
        number = memory.integer(lo, node, value)
        lo.emit(ir.Move(home.register, [memory.operand(number)]))
    elif type(value) is not type(home):
        lo.error(node, f"this returns {kind_of(value)}, another return gives {kind_of(home)}")
    frame.results.append((value, lo.flow.copy() if lo.flow is not None else Flow()))
    lo.goto(cast("ir.Block", frame.join))
    lo.flow = None


def _home(lo: Lowering, value: Value) -> Value:
    if isinstance(value, Pointer):
        return Pointer(lo.register("result"), 0, value.target, value.space)
    if isinstance(value, Number) or (isinstance(value, Static) and isinstance(value.value, int)):
        kind = value.type if isinstance(value, Number) else statements.type_of_constant(value)
        return Number(lo.register("result"), kind)
    return value


def _outer_flow(frame: Frame) -> Flow | None:
    return merge(*(flow for _, flow in frame.results))


def _result(lo: Lowering, frame: Frame) -> Value:
    if frame.result is None or isinstance(frame.result.value, Nothing):
        return Nothing()
    home = frame.result.value
    if isinstance(home, Pointer):
        nullable = any(isinstance(value, Pointer) and value.nullable for value, _ in frame.results)
        return Pointer(home.base, 0, home.target, home.space, nullable)
    if isinstance(home, Number):
        constants = {value.value for value, _ in frame.results if isinstance(value, Static)}
        if len(constants) == 1 and all(isinstance(value, Static) for value, _ in frame.results):
            return Static(constants.pop())
        signed = any(isinstance(v, Number) and v.signed for v, _ in frame.results)
        return Number(home.register, S64 if signed else home.type)
    return home


def _arguments(lo: Lowering, node: ast.Call, function: Callable[..., Any]) -> dict[str, Value]:
    signature = inspect.signature(function)
    places: dict[str, ast.expr] = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    positional: list[Any] = list(node.args)
    if next(iter(signature.parameters), None) == "self":
        positional.insert(0, None)
    try:
        bound = signature.bind(*positional, **places)
    except TypeError as error:
        lo.error(node, f"{function.__name__}: {error}", hint=f"def {function.__name__}{signature}")
    values: dict[str, Value] = {}
    for name, parameter in signature.parameters.items():
        if name == "self":
            values[name] = Owner()
        elif name in bound.arguments:
            values[name] = lo.settled(expressions.expression(lo, bound.arguments[name]))
        else:
            values[name] = Static(parameter.default)
    return values

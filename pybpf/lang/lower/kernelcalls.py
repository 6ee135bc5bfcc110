"""Calls of the kernel's helpers and functions: arguments by the declared signature."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Callable

from pybpf.lang import ir
from pybpf.lang.contexts import context_type
from pybpf.lang.helpers import AnyContext, Memory, session_is_return
from pybpf.lang.lower import arguments, memory
from pybpf.lang.values import BOOL, S64, U64, Context, Nothing, Number, Pointer, Static, Value, kind_of
from pybpf.types import Scalar, sizeof

if TYPE_CHECKING:
    import ast

    from pybpf.lang.lower.state import Lowering
    from pybpf.lang.surface import KernelCall


def call(lo: Lowering, node: ast.Call, function: Callable[..., Any], kernel: KernelCall) -> Value:
    """The result of ``function``, a declared helper or kernel function."""
    values = arguments.bound(lo, node, function.__name__, inspect.signature(function))
    if function is session_is_return and lo.target.session_phase is not None:
        return Static(lo.target.session_phase == "return")
    hints = _annotations(function)
    operands: list[ir.Operand] = []
    previous: Pointer | None = None
    for name, argument in values.items():
        wanted = hints.get(name)
        if wanted is Memory:
            previous = _memory(lo, argument, function.__name__, name)
            operands.append(memory.address(lo, previous))
        elif wanted is AnyContext or context_type(wanted) is not None:
            operands.append(_context(lo, argument, wanted, function.__name__))
        else:
            number = memory.integer(lo, argument.node, argument.value)
            if name == "size" and previous is not None:
                _check_size(lo, argument.node, previous, number)
            operands.append(memory.operand(number))
    if kernel.helper is None:
        lo.kernel_calls.add(kernel.name)
        if lo.target.kfunc_takes_context(kernel.name):
            operands.insert(0, lo.function.context)
    return _result(lo, kernel, hints.get("return"), operands)


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    scope = function.__globals__
    return {n: eval(a, scope) if isinstance(a, str) else a for n, a in function.__annotations__.items()}


def _result(lo: Lowering, kernel: KernelCall, returns: Any, operands: list[ir.Operand]) -> Value:
    register = lo.register(kernel.name)
    kfunc = None if kernel.helper is not None else kernel.name
    lo.emit(ir.Call(register, operands, helper=kernel.helper, kfunc=kfunc))
    if returns is bool:
        # the C ABI leaves all but the lowest byte of a bool undefined
        masked = lo.register()
        lo.emit(ir.Extend(masked, [register], bits=8))
        return Number(masked, BOOL)
    if returns is None or returns is type(None):
        return Nothing()
    return Number(register, S64 if isinstance(returns, Scalar) and returns.signed else U64)


def _memory(lo: Lowering, argument: arguments.Argument, function: str, name: str) -> Pointer:
    if not isinstance(argument.value, Pointer):
        lo.error(
            argument.node,
            f"{function}: {name} is an address, not {kind_of(argument.value)}",
            hint="pass a struct, an array field, or a value of a map",
        )
    return memory.checked(lo, argument.node, argument.value)


def _check_size(lo: Lowering, place: ast.AST, pointer: Pointer, size: Number | Static) -> None:
    if not isinstance(size, Static):
        return
    if size.value < 0:
        lo.error(place, f"a size of {size.value}")
    if pointer.target is not None and size.value > sizeof(pointer.target):
        lo.error(
            place,
            f"{size.value} bytes do not fit the {sizeof(pointer.target)} of {kind_of(pointer)}",
            hint="pass sizeof(T) of what you pass",
        )


def _context(lo: Lowering, argument: arguments.Argument, wanted: Any, function: str) -> ir.Operand:
    value = argument.value
    if not isinstance(value, Context):
        lo.error(argument.node, f"{function} needs the program's context, not {kind_of(value)}", hint="pass ctx")
    needed = context_type(wanted, lo.target.machine)
    if needed is not None and needed.name != value.type.name:
        lo.error(
            argument.node,
            f"{function} works on {needed.name}; this program has {value.type.name}",
            hint="the hook decides the context",
        )
    return value.register

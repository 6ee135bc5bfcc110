"""Calls: what is called decides. Conversions, structs, helpers, methods, functions to inline."""

from __future__ import annotations

import ast
import types
from typing import TYPE_CHECKING, cast

from pybpf.lang import ir
from pybpf.lang.lower import (
    arguments,
    arithmetic,
    expressions,
    inline,
    intrinsics,
    kernelcalls,
    mapcalls,
    memory,
    records,
    structs,
)
from pybpf.lang.surface import kernel_call
from pybpf.lang.values import U64, Context, Method, Number, Owner, Static, Value, kind_of
from pybpf.maps import Map
from pybpf.types import Scalar, Struct

if TYPE_CHECKING:
    from typing import Any

    from pybpf.lang.lower.state import Lowering

_PACKET_MAX = (1 << 31) - 1


def is_map(value: object) -> bool:
    """Whether ``value`` is the declaration of a map."""
    return isinstance(value, Map)


def call(lo: Lowering, node: ast.Call) -> Value:
    """The result of a call."""
    callee = expressions.expression(lo, node.func)
    if isinstance(callee, Method):
        if isinstance(callee.receiver, Context):
            return _context_method(lo, node, callee.receiver, callee.name)
        return mapcalls.call(lo, node, callee.receiver.value, callee.name)
    if not isinstance(callee, Static):
        lo.error(node.func, f"{kind_of(callee)} cannot be called")
    target = callee.value
    if isinstance(target, Scalar):
        return arithmetic.convert(lo, node, target, expressions.integer(lo, arguments.single(lo, node)))
    if isinstance(target, type) and issubclass(target, Struct):
        return _construct(lo, node, target)
    handler = intrinsics.handler(target)
    if handler is not None:
        return handler(lo, node)
    kernel = kernel_call(target)
    if kernel is not None:
        return kernelcalls.call(lo, node, target, kernel)
    if isinstance(target, types.FunctionType):
        return inline.call(lo, node, target, None)
    if isinstance(target, types.MethodType) and isinstance(target.__self__, Owner):
        return inline.call(lo, node, cast("types.FunctionType", target.__func__), target.__self__)
    lo.error(node.func, f"{ast.unparse(node.func)} cannot be called from a program", _instead(target))


def _instead(target: Any) -> str:
    if hasattr(target, "program_type"):
        return "it is a program of its own: put what both do into a plain method"
    if getattr(target, "__module__", None) == "time":
        return "read the clock with ktime_get_ns()"
    by_name = _BUILTINS.get(getattr(target, "__name__", "")) if isinstance(target, (type, *_BUILTIN_KINDS)) else None
    return by_name or "call helpers, structs, or functions written in the language"


_BUILTIN_KINDS = (types.BuiltinFunctionType,)
_BUILTINS = {
    "abs": "write -x if x < 0 else x",
    "divmod": "write x // n and x % n",
    "pow": "multiply, or shift: 1 << n",
    "sum": "add in a loop",
    "print": "send a record through a ring buffer and print it in Python",
    "str": "BPF programs have no strings: send numbers up and format them in Python",
    "float": "BPF has no floating point: scale to integers",
    "list": "use an array in a Struct, or a map",
    "dict": "declare a HashMap in the class body",
    "set": "declare a HashMap in the class body",
    "tuple": "use a Struct",
    "isinstance": "types are known when the program is compiled",
    "hasattr": "types are known when the program is compiled",
    "getattr": "name the field",
    "getpid": "get_current_pid_tgid() >> 32",
    "open": "a program reaches maps and its context only",
}


def _construct(lo: Lowering, node: ast.Call, struct: type[Struct]) -> Value:
    arguments.refuse_stars(lo, node)
    fields = {field.name: field for field in struct.FIELDS}
    if node.args:
        example = f"{struct.__name__}({next(iter(fields), '')}=...)"
        lo.error(node, f"{struct.__name__} takes its fields by name", hint=example)
    for keyword in node.keywords:
        if keyword.arg not in fields:
            lo.error(
                keyword.value,
                f"{struct.__name__} has no field {keyword.arg!r}",
                hint="it has " + ", ".join(sorted(fields)),
            )
    values = expressions.operands(lo, [keyword.value for keyword in node.keywords])
    given = [
        structs.Given(fields[str(keyword.arg)], keyword.value, lo.settled(memory.read(lo, keyword.value, value)))
        for keyword, value in zip(node.keywords, values)
    ]
    return structs.construct(lo, struct, given)


def _context_method(lo: Lowering, node: ast.Call, context: Context, name: str) -> Value:
    place = arguments.single(lo, node)
    index = expressions.integer(lo, place)
    if name == "argument":
        offsets = context.type.arguments
        if not isinstance(index, Static) or not 0 <= index.value < len(offsets):
            lo.error(place, f"an argument's index is a constant from 0 to {len(offsets) - 1}")
        register = lo.register(f"argument{index.value}")
        lo.emit(ir.Load(register, [context.register], offset=offsets[index.value], size=8))
        return Number(register, U64)
    if isinstance(index, Static) and not 0 <= index.value <= _PACKET_MAX:
        lo.error(place, f"the packet has no byte {index.value}", hint="offsets count from the start of the packet")
    records.check_packet(lo, node)
    register = lo.register(name)
    lo.emit(ir.PacketLoad(register, [memory.operand(index), context.register], size=int(name[1:]) // 8))
    return Number(register, U64)

"""Methods of maps inside a program: each is one helper of the kernel."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Callable

from pybpf.asm import JumpOp
from pybpf.kernel.constants import MapType
from pybpf.lang import ir
from pybpf.lang.lower import expressions, memory, statements
from pybpf.lang.values import S64, Context, Nothing, Number, Pointer, Space, Static, Value, kind_of
from pybpf.types import Scalar, Struct, sizeof

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering
    from pybpf.maps import Map
    from pybpf.types import BpfType

# enum bpf_func_id
_MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE = 1, 2, 3
_PERF_EVENT_OUTPUT = 25
_RING_OUTPUT, _RING_RESERVE, _RING_SUBMIT, _RING_DISCARD = 130, 131, 132, 133
_CURRENT_CPU = 0xFFFFFFFF  # BPF_F_CURRENT_CPU
_NOEXIST = 1  # BPF_NOEXIST

_KEYED = frozenset(
    {
        MapType.HASH,
        MapType.LRU_HASH,
        MapType.PERCPU_HASH,
        MapType.LRU_PERCPU_HASH,
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
    }
)
_PER_CPU = frozenset({MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH, MapType.PERCPU_ARRAY})
_ARRAYS = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})


def call(lo: Lowering, node: ast.Call, spec: Map, name: str) -> Value:
    """``self.map.name(...)``."""
    methods = _methods(spec)
    handler = methods.get(name)
    if handler is None:
        lo.error(
            node,
            f"{type(spec).__name__} has no method {name!r} in a program",
            hint="it has " + ", ".join(sorted(methods)),
        )
    return handler(lo, node, spec)


def _methods(spec: Map) -> dict[str, Callable[[Any, ast.Call, Any], Value]]:
    if spec.map_type in _KEYED:
        return {"lookup": _lookup_call, "update": _update_call, "delete": _delete_call}
    if spec.map_type is MapType.RINGBUF:
        return {"reserve": _reserve, "submit": _submit, "discard": _discard, "output": _ring_output}
    if spec.map_type is MapType.PERF_EVENT_ARRAY:
        return {"output": _perf_output}
    return {}


def set_item(lo: Lowering, target: ast.Subscript, spec: Map, value: Value) -> None:
    """``self.map[key] = value``."""
    key, content = _need_keyed(lo, target, spec)
    key_address = _key(lo, target.slice, expressions.expression(lo, target.slice), key)
    value_address = memory.by_reference(lo, target, value, content, "value")
    _helper(lo, _MAP_UPDATE, spec, [key_address, value_address, 0])


def augment_item(lo: Lowering, node: ast.AugAssign, target: ast.Subscript, spec: Map, amount: Number | Static) -> None:
    """``self.map[key] += n``: an element that is there changes in place, a missing one begins at zero."""
    key, content = _need_keyed(lo, target, spec)
    if not isinstance(content, Scalar):
        lo.error(target, f"the values of {spec.name} are no integers", hint="look the value up and change a field")
    if not isinstance(node.op, (ast.Add, ast.BitOr)) and spec.map_type not in _ARRAYS:
        lo.error(node, "only += and |= can begin a missing element", hint="look the value up first")
    key_value = lo.settled(expressions.expression(lo, target.slice))
    if isinstance(key_value, (Number, Static)):
        slot = lo.function.slot("key", sizeof(key), 8, lo.line)
        place = Pointer(slot, 0, key, Space.STACK)
        memory.store(lo, target.slice, place, key_value)
        key_value = place
    found = lo.register("element")
    _helper(lo, _MAP_LOOKUP, spec, [_key(lo, target.slice, key_value, key)], found)
    present, missing, after = lo.new_block("present"), lo.new_block("missing"), lo.new_block("end")
    lo.emit(ir.Branch(None, [found, 0], op=JumpOp.EQ, then=missing, otherwise=present))
    lo.start(present)
    statements.augment(lo, node, Pointer(found, 0, content, _space(spec)), amount)
    lo.goto(after)
    lo.start(missing)
    if spec.map_type not in _ARRAYS:
        begin = memory.by_reference(lo, target, amount, content, "value")
        _helper(lo, _MAP_UPDATE, spec, [_key(lo, target.slice, key_value, key), begin, _NOEXIST])
    lo.goto(after)
    lo.start(after)


def _space(spec: Map) -> Space:
    return Space.PER_CPU if spec.map_type in _PER_CPU else Space.MAP


def _need_keyed(lo: Lowering, node: ast.AST, spec: Map) -> tuple[BpfType, BpfType]:
    if spec.map_type not in _KEYED or spec.key is None or spec.value is None:
        lo.error(node, f"{type(spec).__name__} {spec.name} has no elements to assign")
    return spec.key, spec.value


def _key(lo: Lowering, place: ast.AST, value: Value, kind: BpfType) -> ir.VReg:
    return memory.by_reference(lo, place, value, kind, "key")


def _helper(
    lo: Lowering, number: int, spec: Map | None, arguments: list[ir.Operand], result: ir.VReg | None = None
) -> None:
    operands = list(arguments)
    if spec is not None:
        lo.maps.add(spec.name)
        address = lo.register(spec.name)
        lo.emit(ir.MapAddress(address, name=spec.name))
        operands.insert(0, address)
    lo.emit(ir.Call(result, operands, helper=number))


def _arguments(lo: Lowering, node: ast.Call, names: tuple[str, ...], required: int) -> dict[str, ast.expr]:
    places: dict[str, ast.expr] = dict(zip(names, node.args))
    for keyword in node.keywords:
        if keyword.arg not in names or keyword.arg in places:
            lo.error(keyword.value, f"unexpected argument {keyword.arg!r}", hint="(" + ", ".join(names) + ")")
        places[keyword.arg] = keyword.value
    missing = [name for name in names[:required] if name not in places]
    if missing or len(node.args) > len(names):
        lo.error(node, f"{ast.unparse(node.func)} takes ({', '.join(names)})")
    return places


def _flags(lo: Lowering, places: dict[str, ast.expr]) -> ir.Operand:
    return memory.operand(expressions.integer(lo, places["flags"])) if "flags" in places else 0


def _lookup_call(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    places = _arguments(lo, node, ("key",), 1)
    key, content = _need_keyed(lo, node, spec)
    address = _key(lo, places["key"], expressions.expression(lo, places["key"]), key)
    found = lo.register("found")
    _helper(lo, _MAP_LOOKUP, spec, [address], found)
    return Pointer(found, 0, content, _space(spec), nullable=True)


def _update_call(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    places = _arguments(lo, node, ("key", "value", "flags"), 2)
    key, content = _need_keyed(lo, node, spec)
    key_value = lo.settled(expressions.expression(lo, places["key"]))
    value = expressions.expression(lo, places["value"])
    key_address = _key(lo, places["key"], key_value, key)
    value_address = memory.by_reference(lo, places["value"], value, content, "value")
    result = lo.register("error")
    _helper(lo, _MAP_UPDATE, spec, [key_address, value_address, _flags(lo, places)], result)
    return Number(result, S64)


def _delete_call(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    places = _arguments(lo, node, ("key",), 1)
    key, _ = _need_keyed(lo, node, spec)
    address = _key(lo, places["key"], expressions.expression(lo, places["key"]), key)
    result = lo.register("error")
    _helper(lo, _MAP_DELETE, spec, [address], result)
    return Number(result, S64)


def _reserve(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    places = _arguments(lo, node, ("kind", "tail"), 1)
    kind = expressions.expression(lo, places["kind"])
    if not (isinstance(kind, Static) and isinstance(kind.value, type) and issubclass(kind.value, Struct)):
        lo.error(places["kind"], f"reserve() takes a Struct class, not {kind_of(kind)}")
    tail = expressions.integer(lo, places["tail"]) if "tail" in places else Static(0)
    if not isinstance(tail, Static) or tail.value < 0:
        lo.error(
            places["tail"], "the tail of a record has a constant size", hint="use output() for records of varying size"
        )
    slot = lo.register("reserved")
    _helper(lo, _RING_RESERVE, spec, [kind.value.SIZE + tail.value, 0], slot)
    return Pointer(slot, 0, kind.value, Space.RING, nullable=True)


def _end_record(number: int) -> Callable[[Lowering, ast.Call, Map], Value]:
    def lower(lo: Lowering, node: ast.Call, spec: Map) -> Value:
        places = _arguments(lo, node, ("slot", "flags"), 1)
        value = expressions.expression(lo, places["slot"])
        if not isinstance(value, Pointer) or value.space is not Space.RING:
            lo.error(places["slot"], f"{kind_of(value)} was not reserved in {spec.name}")
        address = memory.address(lo, memory.checked(lo, places["slot"], value))
        _helper(lo, number, None, [address, _flags(lo, places)])
        return Nothing()

    return lower


_submit = _end_record(_RING_SUBMIT)
_discard = _end_record(_RING_DISCARD)


def _output_arguments(lo: Lowering, places: dict[str, ast.expr]) -> tuple[ir.VReg, ir.Operand]:
    place = places["value"]
    value = expressions.expression(lo, place)
    if not isinstance(value, Pointer):
        lo.error(place, f"output() takes something in memory, not {kind_of(value)}", hint="pass a struct")
    memory.checked(lo, place, value)
    if "size" in places:
        size = memory.operand(expressions.integer(lo, places["size"]))
    elif value.target is not None:
        size = sizeof(value.target)
    else:
        lo.error(place, "the size of these bytes is not known", hint="pass size=")
    return memory.address(lo, value), size


def _ring_output(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    places = _arguments(lo, node, ("value", "size", "flags"), 1)
    address, size = _output_arguments(lo, places)
    result = lo.register("error")
    _helper(lo, _RING_OUTPUT, spec, [address, size, _flags(lo, places)], result)
    return Number(result, S64)


def _perf_output(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    places = _arguments(lo, node, ("ctx", "value", "size"), 2)
    context = expressions.expression(lo, places["ctx"])
    if not isinstance(context, Context):
        lo.error(places["ctx"], f"output() of a perf event array needs the context, not {kind_of(context)}")
    address, size = _output_arguments(lo, places)
    lo.maps.add(spec.name)
    table = lo.register(spec.name)
    lo.emit(ir.MapAddress(table, name=spec.name))
    result = lo.register("error")
    lo.emit(ir.Call(result, [context.register, table, _CURRENT_CPU, address, size], helper=_PERF_EVENT_OUTPUT))
    return Number(result, S64)

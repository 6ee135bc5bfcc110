"""Methods of maps inside a program: each is one helper of the kernel."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Callable, cast

from pybpf.asm import JumpOp
from pybpf.kernel.constants import MapType
from pybpf.lang import ir
from pybpf.lang.lower import arguments, expressions, memory, records, stores
from pybpf.lang.values import S64, Context, Nothing, Number, Pointer, Space, Static, Value, kind_of
from pybpf.types import Scalar, Struct, sizeof

if TYPE_CHECKING:
    from pybpf.lang.lower.state import Lowering
    from pybpf.maps import Map
    from pybpf.types import BpfType

Given = dict[str, arguments.Argument]

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


def set_item(lo: Lowering, target: ast.Subscript, spec: Map, node: ast.expr, value: Value) -> None:
    """``self.map[key] = value``."""
    key, content = _need_keyed(lo, target, spec)
    key_address = _key(lo, target.slice, expressions.expression(lo, target.slice), key)
    value_address = memory.by_reference(lo, node, value, content, "value")
    _helper(lo, _MAP_UPDATE, spec, [key_address, value_address, 0])


def augment_item(lo: Lowering, node: ast.AugAssign, target: ast.Subscript, spec: Map) -> None:
    """``self.map[key] += n``: an element that is there changes in place, a missing one begins at zero.

    Two CPUs may find the same element missing at once: whoever comes second finds the zero of the first.
    """
    key, content = _need_keyed(lo, target, spec)
    if not isinstance(content, Scalar):
        lo.error(target, f"the values of {spec.name} are no integers", hint="look the value up and change a field")
    key_place = _kept_key(lo, target.slice, expressions.expression(lo, target.slice), key)
    element = lo.register("element")
    amount = expressions.integer(lo, node.value)
    _helper(lo, _MAP_LOOKUP, spec, [memory.address(lo, key_place)], element)
    present, after = lo.new_block("present"), lo.new_block("end")
    if spec.map_type not in _ARRAYS:
        missing = lo.new_block("missing")
        lo.emit(ir.Branch(None, [element, 0], op=JumpOp.NE, then=present, otherwise=missing))
        lo.start(missing)
        zero = memory.by_reference(lo, target, Static(0), content, "zero")
        _helper(lo, _MAP_UPDATE, spec, [memory.address(lo, key_place), zero, _NOEXIST])
        _helper(lo, _MAP_LOOKUP, spec, [memory.address(lo, key_place)], element)
    lo.emit(ir.Branch(None, [element, 0], op=JumpOp.NE, then=present, otherwise=after))
    lo.start(present)
    place = Pointer(element, 0, content, _space(spec))
    stores.augment(lo, node, place, amount)
    lo.goto(after)
    lo.start(after)


def _kept_key(lo: Lowering, node: ast.expr, value: Value, kind: BpfType) -> Pointer:
    """Where the key lies, to be used more than once."""
    if isinstance(value, Pointer) and value.target == kind:
        return cast("Pointer", lo.settled(memory.checked(lo, node, value)))
    slot = lo.function.slot("key", sizeof(kind), 8, lo.line)
    place = Pointer(slot, 0, kind, Space.STACK)
    memory.store(lo, node, place, value)
    return place


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
        address = lo.register(spec.name)
        lo.emit(ir.MapAddress(address, name=spec.name))
        operands.insert(0, address)
    lo.emit(ir.Call(result, operands, helper=number))


def _flags(lo: Lowering, given: Given) -> ir.Operand:
    if "flags" not in given:
        return 0
    return memory.operand(memory.integer(lo, given["flags"].node, given["flags"].value))


def _lookup_call(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    given = arguments.named(lo, node, ("key",), 1)
    key, content = _need_keyed(lo, node, spec)
    address = _key(lo, given["key"].node, given["key"].value, key)
    found = lo.register("found")
    _helper(lo, _MAP_LOOKUP, spec, [address], found)
    return Pointer(found, 0, content, _space(spec), nullable=True)


def _update_call(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    given = arguments.named(lo, node, ("key", "value", "flags"), 2)
    key, content = _need_keyed(lo, node, spec)
    key_address = _key(lo, given["key"].node, given["key"].value, key)
    value_address = memory.by_reference(lo, given["value"].node, given["value"].value, content, "value")
    result = lo.register("error")
    _helper(lo, _MAP_UPDATE, spec, [key_address, value_address, _flags(lo, given)], result)
    return Number(result, S64)


def _delete_call(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    given = arguments.named(lo, node, ("key",), 1)
    key, _ = _need_keyed(lo, node, spec)
    address = _key(lo, given["key"].node, given["key"].value, key)
    result = lo.register("error")
    _helper(lo, _MAP_DELETE, spec, [address], result)
    return Number(result, S64)


def _reserve(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    given = arguments.named(lo, node, ("kind", "tail"), 1)
    kind = given["kind"].value
    if not (isinstance(kind, Static) and isinstance(kind.value, type) and issubclass(kind.value, Struct)):
        lo.error(given["kind"].node, f"reserve() takes a Struct class, not {kind_of(kind)}")
    tail: Number | Static = Static(0)
    if "tail" in given:
        tail = memory.integer(lo, given["tail"].node, given["tail"].value)
        if not isinstance(tail, Static) or tail.value < 0:
            lo.error(
                given["tail"].node,
                "the tail of a record has a constant size",
                hint="use output() for records of varying size",
            )
    slot = lo.register("reserved")
    records.begin(lo, slot)
    _helper(lo, _RING_RESERVE, spec, [kind.value.SIZE + memory.constant(tail), 0], slot)
    return Pointer(slot, 0, kind.value, Space.RING, nullable=True)


def _end_record(number: int) -> Callable[[Lowering, ast.Call, Map], Value]:
    def lower(lo: Lowering, node: ast.Call, spec: Map) -> Value:
        given = arguments.named(lo, node, ("slot", "flags"), 1)
        place, value = given["slot"].node, given["slot"].value
        if not isinstance(value, Pointer) or value.space is not Space.RING:
            lo.error(place, f"{kind_of(value)} was not reserved in {spec.name}")
        address = memory.address(lo, memory.checked(lo, place, value))
        _helper(lo, number, None, [address, _flags(lo, given)])
        records.give_back(lo, value)
        return Nothing()

    return lower


_submit = _end_record(_RING_SUBMIT)
_discard = _end_record(_RING_DISCARD)


def _output_arguments(lo: Lowering, given: Given) -> tuple[ir.VReg, ir.Operand]:
    place, value = given["value"].node, given["value"].value
    if not isinstance(value, Pointer):
        lo.error(place, f"output() takes something in memory, not {kind_of(value)}", hint="pass a struct")
    memory.checked(lo, place, value)
    if "size" in given:
        size = memory.operand(memory.integer(lo, given["size"].node, given["size"].value))
    elif value.target is not None:
        size = sizeof(value.target)
    else:
        lo.error(place, "the size of these bytes is not known", hint="pass size=")
    return memory.address(lo, value), size


def _ring_output(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    given = arguments.named(lo, node, ("value", "size", "flags"), 1)
    address, size = _output_arguments(lo, given)
    result = lo.register("error")
    _helper(lo, _RING_OUTPUT, spec, [address, size, _flags(lo, given)], result)
    return Number(result, S64)


def _perf_output(lo: Lowering, node: ast.Call, spec: Map) -> Value:
    given = arguments.named(lo, node, ("ctx", "value", "size"), 2)
    context = given["ctx"].value
    if not isinstance(context, Context):
        lo.error(given["ctx"].node, f"output() of a perf event array needs the context, not {kind_of(context)}")
    address, size = _output_arguments(lo, given)
    table = lo.register(spec.name)
    lo.emit(ir.MapAddress(table, name=spec.name))
    result = lo.register("error")
    lo.emit(ir.Call(result, [context.register, table, _CURRENT_CPU, address, size], helper=_PERF_EVENT_OUTPUT))
    return Number(result, S64)

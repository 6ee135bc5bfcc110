"""What an expression is worth by the rules of the language."""

from __future__ import annotations

import ast
from typing import Any, Callable

from pybpf.types import ArrayType, Scalar, Struct, sizeof
from tests.support.lang.frames import Frame
from tests.support.lang.integers import Int, Ref, Value, binary, compare, convert, is_signed, plain, wrapped

_COMPUTED = ("u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "bool", "min", "max", "swap16", "swap32", "swap64")
"""Functions that Python computes when their arguments are constants."""

_LIMITS = {True: (-(1 << 63), (1 << 63) - 1), False: (0, (1 << 64) - 1)}


class Expressions:
    """The half of the reference that knows expressions; ``scope`` is the module, ``packet`` the input."""

    def __init__(self, tree: ast.Module, scope: dict[str, Any], packet: bytes) -> None:
        self.functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        self.scope = scope
        self.packet = packet
        self.maps: dict[str, dict[bytes, bytearray]] = {}
        self.specs: dict[str, Any] = {
            name: spec for name, spec in vars(scope["Program"]).items() if hasattr(spec, "map_type")
        }
        self.frames: list[Frame] = []

    def call(self, name: str, arguments: list[Value]) -> Value:
        """What the function ``name`` returns."""
        raise NotImplementedError

    def elements(self, name: str) -> dict[bytes, bytearray]:
        """The elements of a map by the bytes of their keys; those of arrays are all there."""
        if name not in self.maps:
            spec = self.specs[name]
            arrays = type(spec).__name__.endswith("Array")
            count = spec.max_entries if arrays else 0
            self.maps[name] = {i.to_bytes(4, "little"): bytearray(spec.value_size) for i in range(count)}
        return self.maps[name]

    def key(self, spec: Any, value: Value) -> bytes:
        """The bytes of a key."""
        if isinstance(value, Ref) and not isinstance(value.type, Scalar):
            return bytes(value.memory[value.offset : value.offset + sizeof(value.type)])
        return bytes(spec.key.pack(spec.key.wrap(plain(self.number(value)))))

    def load(self, ref: Ref) -> Value:
        """An integer field as it widens to a register; anything else stays where it is."""
        if not isinstance(ref.type, Scalar):
            return ref
        value = ref.type.unpack(memoryview(ref.memory), ref.offset)
        return Int(int(value), "b" if ref.type.name == "bool" else "s" if ref.type.signed else "u")

    def store(self, ref: Ref, value: Value) -> None:
        """Write an integer, cut to the field, or copy a struct."""
        if isinstance(ref.type, Scalar):
            data = ref.type.pack(plain(convert(ref.type, self.number(value))))
        else:
            data = bytes(value.memory[value.offset : value.offset + sizeof(value.type)])
        ref.memory[ref.offset : ref.offset + len(data)] = data

    def number(self, value: Value) -> Value:
        """An integer, read from memory if it lies there."""
        return self.load(value) if isinstance(value, Ref) else value

    def field(self, ref: Ref, name: str) -> Ref:
        field = ref.type.field(name)
        return Ref(ref.memory, ref.offset + field.offset, field.type)

    def element(self, ref: Ref, index: Value) -> Ref:
        assert isinstance(ref.type, ArrayType)
        position = plain(self.number(index))
        assert 0 <= position < ref.type.length
        return Ref(ref.memory, ref.offset + position * sizeof(ref.type.element), ref.type.element)

    def _scalar(self, node: ast.expr | None) -> Scalar | None:
        if isinstance(node, ast.Name):
            found = Scalar("bool", 1) if node.id == "bool" else self.scope.get(node.id)
            return found if isinstance(found, Scalar) else None
        return None

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    def truth(self, node: ast.expr) -> bool:
        value = self.value(node)
        if isinstance(value, Ref) and not isinstance(value.type, Scalar):
            return True
        return bool(plain(self.number(value))) if value is not None else False

    def value(self, node: ast.expr) -> Value:
        """The value of an expression."""
        return getattr(self, f"eval_{type(node).__name__}")(node)

    def eval_Constant(self, node: ast.Constant) -> Value:
        return node.value

    def eval_Name(self, node: ast.Name) -> Value:
        if node.id in self.frame.values:
            return self.frame.read(node.id)
        return self.scope[node.id]

    def _is_self(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == "self"

    def eval_Attribute(self, node: ast.Attribute) -> Value:
        return self.load(self.field(self.value(node.value), node.attr))

    def eval_Subscript(self, node: ast.Subscript) -> Value:
        return self.load(self.element(self.value(node.value), self.value(node.slice)))

    def eval_BinOp(self, node: ast.BinOp) -> Value:
        left = self.number(self.value(node.left))
        return binary(node.op, left, self.number(self.value(node.right)))

    def eval_UnaryOp(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            constant = self.static(node.operand)
            truth = not self.truth(node.operand)
            return truth if constant else Int(int(truth), "b")
        value = self.number(self.value(node.operand))
        if not isinstance(value, Int):
            return -value if isinstance(node.op, ast.USub) else ~value if isinstance(node.op, ast.Invert) else +value
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.USub):
            return wrapped(-value.value, "s")
        return wrapped(~value.value, "s" if value.kind == "s" else "u")

    def eval_Compare(self, node: ast.Compare) -> Value:
        constant = self.static(node)
        left = self.value(node.left)
        for op, place in zip(node.ops, node.comparators):
            if isinstance(op, (ast.Is, ast.IsNot)):
                right = self.value(place)
                holds = (left is right) is isinstance(op, ast.Is)
            elif isinstance(op, (ast.In, ast.NotIn)):
                left = self.number(left)
                members = [self.value(item) for item in place.elts]  # type: ignore[attr-defined]
                holds = any(compare(ast.Eq(), left, m) for m in members) is isinstance(op, ast.In)
                right = None
            else:
                left = self.number(left)
                right = self.number(self.value(place))
                holds = compare(op, left, right)
            if not holds:
                return False if constant else Int(0, "b")
            left = right
        return True if constant else Int(1, "b")

    def eval_BoolOp(self, node: ast.BoolOp) -> Value:
        conjunction = isinstance(node.op, ast.And)
        parts = self.deciding(node)
        joined = self.join(parts)
        result: Value = None
        for part in parts:
            result = self.number(self.value(part))
            if bool(plain(result)) is not conjunction:
                break
        return joined(result)

    def deciding(self, node: ast.BoolOp) -> list[ast.expr]:
        """The operands that may be the result: constants that do not decide fall away, one that does is the last."""
        parts: list[ast.expr] = []
        for part in node.values:
            if self.static(part) and part is not node.values[-1]:
                if bool(self.value(part)) is isinstance(node.op, ast.And):
                    continue
                return [*parts, part]
            parts.append(part)
        return parts

    def eval_IfExp(self, node: ast.IfExp) -> Value:
        joined = self.join([node.body, node.orelse])
        known = self.static(node.test)
        value = self.number(self.value(node.body if self.truth(node.test) else node.orelse))
        return value if known or value is None else joined(value)

    def join(self, parts: list[ast.expr]) -> Callable[[Value], Value]:
        """What becomes of a value that is chosen among ``parts``."""
        if len(parts) == 1:
            return lambda value: value
        if all(map(self.static, parts)):
            first, *others = map(self.value, parts)
            if all(type(first) is type(other) and first == other for other in others):
                return lambda value: value
        kind = _join([self.kind(part) for part in parts])
        return lambda value: wrapped(plain(value), kind)

    def taken(self, name: str, value: Value) -> Value:
        """What a variable takes of ``value``: one that holds integers reads what a pointer leads to."""
        return self.number(value) if name in self.frame.kinds else value

    def eval_NamedExpr(self, node: ast.NamedExpr) -> Value:
        self.frame.assign(node.target.id, self.taken(node.target.id, self.value(node.value)), None)
        return self.frame.read(node.target.id)

    def eval_Call(self, node: ast.Call) -> Value:
        if isinstance(node.func, ast.Attribute):
            return self.method(node, node.func)
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        target = self.scope.get(name)
        if isinstance(target, type) and issubclass(target, Struct):
            given = [(str(keyword.arg), self.value(keyword.value)) for keyword in node.keywords]
            # fields of a struct type are copied when all values are there
            given = [(field, self.number(value)) for field, value in given]
            made = Ref(bytearray(target.SIZE), 0, target)
            for field, value in given:
                self.store(self.field(made, field), value)
            return made
        if name in self.functions:
            return self.call(name, [self.value(argument) for argument in node.args])
        if name in ("min", "max"):
            return self.extreme(name, [self.number(self.value(argument)) for argument in node.args])
        if name.startswith("swap"):
            size = int(name[4:]) // 8
            value = self.number(self.value(node.args[0]))
            swapped = int.from_bytes((plain(value) & ((1 << 8 * size) - 1)).to_bytes(size, "big"), "little")
            return Int(swapped, "u") if isinstance(value, Int) else swapped
        if name in ("ktime_get_ns", "get_smp_processor_id"):
            return Int(0, "u")  # its value is not used
        kind = Scalar("bool", 1) if name == "bool" else target
        assert isinstance(kind, Scalar)
        return convert(kind, self.number(self.value(node.args[0])))

    def extreme(self, name: str, values: list[Value]) -> Value:
        best = values[0]
        for value in values[1:]:
            if not isinstance(best, Int) and not isinstance(value, Int):
                best = min(best, value) if name == "min" else max(best, value)
                continue
            first = compare(ast.Lt() if name == "min" else ast.Gt(), best, value)
            decided = [side for side in (best, value) if not isinstance(side, Int)]
            other = value if decided and best is decided[0] else best
            if decided and not _LIMITS[is_signed(other)][0] <= decided[0] <= _LIMITS[is_signed(other)][1]:
                best = best if first else value
                continue
            kind = "s" if is_signed(best) or is_signed(value) else "u"
            best = wrapped(plain(best if first else value), kind)
        return best

    def method(self, node: ast.Call, func: ast.Attribute) -> Value:
        if isinstance(func.value, ast.Name) and func.value.id == "ctx":
            offset, size = plain(self.number(self.value(node.args[0]))), int(func.attr[1:]) // 8
            return Int(int.from_bytes(self.packet[offset : offset + size], "big"), "u")
        if self._is_self(func.value):
            return self.call(func.attr, [None, *(self.value(argument) for argument in node.args)])
        assert isinstance(func.value, ast.Attribute)
        spec = self.specs[func.value.attr]
        key = self.key(spec, self.value(node.args[0]))
        elements = self.elements(spec.name)
        if func.attr == "lookup":
            return Ref(elements[key], 0, spec.value) if key in elements else None
        if func.attr == "delete":
            return Int(0 if elements.pop(key, None) is not None else -2, "s")
        raise NotImplementedError(func.attr)

    # -- what is known of an expression without running it

    def static(self, node: ast.expr) -> bool:
        """Whether the value of ``node`` is known while compiling."""
        if isinstance(node, ast.Name):
            return not isinstance(self.frame.values.get(node.id), (Int, Ref))
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.NamedExpr)):
            return False
        if isinstance(node, ast.Call) and (not isinstance(node.func, ast.Name) or node.func.id not in _COMPUTED):
            return False
        return all(self.static(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))

    def kind(self, node: ast.expr) -> str:
        """The kind of ``node``: "u", "s" or "b" of an integer, "c" and "C" of a constant (negative), "n" of None."""
        if self.static(node):
            value = self.value(node)
            if isinstance(value, bool):
                return "t"
            return "n" if value is None else "C" if value < 0 else "c"
        if isinstance(node, ast.BinOp):
            left, right = self.kind(node.left), self.kind(node.right)
            if isinstance(node.op, (ast.LShift, ast.RShift)):
                return "s" if left in "sC" else "u"
            return "s" if "s" in (left, right) else "u"
        if isinstance(node, ast.UnaryOp):
            kind = self.kind(node.operand)
            if isinstance(node.op, ast.Not):
                return "b"
            return (
                kind
                if isinstance(node.op, ast.UAdd)
                else "s"
                if isinstance(node.op, ast.USub)
                else kind.replace("b", "u")
            )
        if isinstance(node, ast.Compare):
            return "b"
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            parts = self.deciding(node) if isinstance(node, ast.BoolOp) else [node.body, node.orelse]
            return self.kind(parts[0]) if len(parts) == 1 else _join([self.kind(part) for part in parts])
        if isinstance(node, ast.Call):
            return self.kind_of_call(node, ast.unparse(node.func).rsplit(".", 1)[-1])
        if isinstance(node, ast.NamedExpr):
            value = self.frame.values[node.target.id]
        elif isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            value = self.number(self.value(node))
        else:
            return "u"
        return value.kind if isinstance(value, Int) else "c"

    def kind_of_call(self, node: ast.Call, name: str) -> str:
        if name in self.functions:
            kind = self._scalar(self.functions[name].returns)
        elif name in ("min", "max"):
            return "s" if "s" in [self.kind(argument) for argument in node.args] else "u"
        else:
            kind = Scalar("bool", 1) if name == "bool" else self.scope.get(name)
        if not isinstance(kind, Scalar):
            return "u"
        return "b" if kind.name == "bool" else "s" if kind.signed else "u"


def _join(kinds: list[str]) -> str:
    if set(kinds) <= {"b", "t"}:
        return "b"
    return "s" if "s" in kinds or "C" in kinds else "u"

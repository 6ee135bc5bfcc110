"""Random expressions of the language, for hypothesis: all operators, all kinds of integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

UNSIGNED, SIGNED = "u", "s"
TYPES = {UNSIGNED: ("u8", "u16", "u32", "u64", "bool"), SIGNED: ("s8", "s16", "s32", "s64")}
FIELDS = {UNSIGNED: ("flag", "byte"), SIGNED: ("small", "half", "word", "wide")}
CONSTANTS = [0, 1, 2, 3, 5, 7, 8, 63, 64, 127, 128, 255, 256, 4096, 65535, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
CONSTANTS += [1 << 32, (1 << 63) - 1]
DEPTH = 3


@dataclass(frozen=True)
class Expression:
    """Text of an expression, whether it is signed, and whether it is known while compiling."""

    text: str
    kind: str
    constant: bool = False


@dataclass
class Scope:
    """What a piece of the program may use."""

    variables: dict[str, str]
    """Variables that may be assigned, with their kind."""
    readable: dict[str, Expression] = field(default_factory=dict)
    """Further names."""
    structs: list[str] = field(default_factory=list)
    pairs: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    in_loop: bool = False
    rounds: int = 1
    walrus: bool = True

    def inner(self, **changes: Any) -> Scope:
        """The scope of a block inside."""
        values = {**self.__dict__, "readable": dict(self.readable), **changes}
        return Scope(**values)


class ExpressionWriter:
    """Draws expressions."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self._draw = draw
        self._names = 0

    def number(self, low: int, high: int) -> int:
        return int(self._draw(st.integers(low, high)))

    def pick(self, items: Sequence[T]) -> T:
        return items[self.number(0, len(items) - 1)]

    def name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    # -- expressions

    def constant(self, *, negative: bool = True) -> Expression:
        value = self.pick(CONSTANTS)
        if negative and self.number(0, 4) == 0:
            value = -value
        return Expression(f"({value})" if value < 0 else str(value), UNSIGNED, True)

    def leaf(self, scope: Scope, depth: int = 0) -> Expression:
        choice = self.number(0, 9)
        names = [Expression(name, kind) for name, kind in scope.variables.items()] + list(scope.readable.values())
        if choice <= 4 and names:
            return self.pick(names)
        if choice == 5 and scope.structs:
            struct, kind = self.pick(scope.structs), self.pick((UNSIGNED, SIGNED))
            return Expression(f"{struct}.{self.pick(FIELDS[kind])}", kind)
        if choice == 6 and scope.structs:
            return Expression(f"{self.pick(scope.structs)}.bytes[{self.pick(names).text} & 7]", UNSIGNED)
        if choice == 7 and scope.pairs:
            return Expression(f"{self.pick(scope.pairs)}.{self.pick(('left', 'right'))}", UNSIGNED)
        if choice == 8:
            return Expression(f"ctx.{self.pick(('u8', 'u16', 'u32'))}({self.number(0, 40)})", UNSIGNED)
        return self.constant()

    def expression(self, scope: Scope, depth: int = DEPTH) -> Expression:
        if depth == 0:
            return self.leaf(scope)
        makers: list[Callable[[Scope, int], Expression]]
        makers = [self.leaf, self.leaf, self.binary, self.binary, self.binary, self.shift, self.division, self.unary]
        makers += [self.conversion, self.condition_value, self.choice, self.and_or, self.extreme, self.called]
        return self.pick(makers)(scope, depth - 1)

    def value(self, scope: Scope, depth: int = DEPTH) -> Expression:
        """An expression that is not known while compiling."""
        found = self.expression(scope, depth)
        if not found.constant:
            return found
        name, kind = self.pick(list(scope.variables.items()))
        return Expression(f"({name} ^ {found.text})", kind)

    def of_kind(self, scope: Scope, kind: str, depth: int = DEPTH) -> Expression:
        """An expression that a variable of ``kind`` takes."""
        found = self.expression(scope, depth)
        if found.kind == kind and not found.constant:
            return found
        types = TYPES[kind]
        # a constant must fit whatever type the variable was declared with
        return Expression(f"{types[0] if found.constant else types[3]}({found.text})", kind, found.constant)

    def binary(self, scope: Scope, depth: int) -> Expression:
        left, right = self.expression(scope, depth), self.expression(scope, depth)
        kinds = [side.kind for side in (left, right) if not side.constant]
        kind = SIGNED if SIGNED in kinds else UNSIGNED
        text = f"({left.text} {self.pick('+-*&|^')} {right.text})"
        return Expression(text, kind, left.constant and right.constant)

    def shift(self, scope: Scope, depth: int) -> Expression:
        left = self.value(scope, depth)
        count = self.value(scope, 0).text if self.number(0, 2) == 0 else str(self.number(0, 63))
        return Expression(f"({left.text} {self.pick(('<<', '>>'))} {count})", left.kind)

    def division(self, scope: Scope, depth: int) -> Expression:
        operator, left = self.pick(("//", "%")), self.value(scope, depth)
        if left.kind == SIGNED and self.number(0, 1):
            return Expression(f"({left.text} {operator} {1 << self.number(0, 63)})", SIGNED)
        right = f"u64({self.value(scope, 0).text})" if self.number(0, 2) == 0 else str(self.number(1, 1 << 33))
        return Expression(f"(u64({left.text}) {operator} {right})", UNSIGNED)

    def unary(self, scope: Scope, depth: int) -> Expression:
        operator = self.pick("-~+")
        inner = self.value(scope, depth)
        return Expression(f"({operator}{inner.text})", SIGNED if operator == "-" else inner.kind)

    def conversion(self, scope: Scope, depth: int) -> Expression:
        kind = self.pick((UNSIGNED, SIGNED))
        inner = self.expression(scope, depth)
        if self.number(0, 6) == 0:
            return Expression(f"swap{self.pick((16, 32, 64))}({inner.text})", UNSIGNED, inner.constant)
        return Expression(f"{self.pick(TYPES[kind])}({inner.text})", kind, inner.constant)

    def condition_value(self, scope: Scope, depth: int) -> Expression:
        before, behind = self.pick((("bool(", ")"), ("(not ", ")"), ("(1 <= ", " != 5)")))
        inner = self.value(scope, depth).text if "<" in before else self.condition(scope, depth)
        return Expression(f"{before}{inner}{behind}", UNSIGNED)

    def choice(self, scope: Scope, depth: int) -> Expression:
        quiet = scope.inner(walrus=False)
        one = self.value(quiet, depth)
        other = self.value(quiet, depth) if self.number(0, 2) else self.constant()
        kind = self.joined(one, other)
        return Expression(f"({one.text} if {self.condition(scope, depth)} else {other.text})", kind)

    @staticmethod
    def joined(*parts: Expression) -> str:
        signed = any((part.kind == SIGNED and not part.constant) or part.text.startswith("(-") for part in parts)
        return SIGNED if signed else UNSIGNED

    def and_or(self, scope: Scope, depth: int) -> Expression:
        quiet = scope.inner(walrus=False)
        parts = [self.value(quiet, depth) for _ in range(self.number(2, 3))]
        word = self.pick((" and ", " or "))
        return Expression(f"({word.join(part.text for part in parts)})", self.joined(*parts))

    def extreme(self, scope: Scope, depth: int) -> Expression:
        parts = [self.value(scope, depth) for _ in range(self.number(2, 3))]
        kind = SIGNED if SIGNED in [part.kind for part in parts] else UNSIGNED
        return Expression(f"{self.pick(('min', 'max'))}({', '.join(part.text for part in parts)})", kind)

    def called(self, scope: Scope, depth: int) -> Expression:
        if not scope.functions:
            return self.assigned(scope, depth)
        function = self.pick(scope.functions)
        arguments = ", ".join(self.value(scope, min(depth, 1)).text for _ in range(3))
        struct = f", {scope.structs[0]}" if "touch" in function else ""
        return Expression(f"self.{function}(ctx, {arguments}{struct})", UNSIGNED if "_u" in function else SIGNED)

    def assigned(self, scope: Scope, depth: int) -> Expression:
        if not scope.walrus:
            return self.leaf(scope)
        name, kind = self.pick(list(scope.variables.items()))
        return Expression(f"({name} := {self.of_kind(scope, kind, depth).text})", kind)

    def condition(self, scope: Scope, depth: int = 1) -> str:
        """A condition that is not known while compiling."""
        choice = self.number(0, 7)
        if choice == 0:
            return f"not {self.condition(scope, max(depth - 1, 0))}" if depth else self.value(scope, 0).text
        if choice == 1 and depth:
            word = self.pick((" and ", " or "))
            return f"({word.join(self.condition(scope, depth - 1) for _ in range(2))})"
        left = self.value(scope, min(depth, 2))
        if choice == 2:
            return left.text
        if choice == 3:
            members = ", ".join(str(self.pick(CONSTANTS[:-2])) for _ in range(self.number(1, 3)))
            return f"{left.text} {self.pick(('in', 'not in'))} ({members},)"
        operators = ("<", "<=", ">", ">=", "==", "!=")
        if choice == 4:
            middle, right = self.value(scope, 0), self.value(scope, 0)
            return f"{left.text} {self.pick(operators)} {middle.text} {self.pick(operators)} {right.text}"
        if choice == 5:
            constant = self.constant(negative=left.kind == SIGNED)
            if self.number(0, 1):
                return f"{constant.text} {self.pick(operators)} {left.text}"
            return f"{left.text} {self.pick(operators)} {constant.text}"
        return f"{left.text} {self.pick(operators)} {self.value(scope, min(depth, 2)).text}"

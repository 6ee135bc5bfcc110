"""Random programs of the language, for hypothesis: all statements, many live variables, functions to inline."""

from __future__ import annotations

from typing import Any, Callable

from hypothesis import strategies as st

from tests.support.lang.random_expressions import (
    CONSTANTS,
    DEPTH,
    FIELDS,
    SIGNED,
    TYPES,
    UNSIGNED,
    Expression,
    ExpressionWriter,
    Scope,
)

_ROUNDS = 40


class Writer(ExpressionWriter):
    """Draws one program."""

    def block(self, scope: Scope, depth: int, count: int) -> list[str]:
        lines: list[str] = []
        for _ in range(count):
            lines += self.statement(scope, depth)
        return lines or ["pass"]

    def statement(self, scope: Scope, depth: int) -> list[str]:
        simple = [self.assignment, self.assignment, self.augmented, self.field, self.local, self.counter, self.clobber]
        simple += [self.pair]
        nested = [self.branch, self.branch, self.loop, self.while_loop, self.unrolled, self.looked_up]
        if scope.in_loop:
            simple.append(self.leave)
        maker = self.pick(simple + nested if depth and scope.rounds < _ROUNDS else simple)
        return maker(scope, depth)

    def assignment(self, scope: Scope, depth: int) -> list[str]:
        name, kind = self.pick(list(scope.variables.items()))
        return [f"{name} = {self.of_kind(scope, kind).text}"]

    def augmented(self, scope: Scope, depth: int) -> list[str]:
        name, kind = self.pick(list(scope.variables.items()))
        operator = self.pick(["+", "-", "*", "&", "|", "^", "<<", ">>"] + (["//", "%"] if kind == UNSIGNED else []))
        if operator in ("<<", ">>"):
            return [f"{name} {operator}= {self.number(0, 63)}"]
        if operator in ("//", "%"):
            return [f"{name} {operator}= {self.number(1, 1 << 33)}"]
        return [f"{name} {operator}= {self.of_kind(scope, kind, 2).text}"]

    def field(self, scope: Scope, depth: int) -> list[str]:
        if not scope.structs:
            return self.assignment(scope, depth)
        struct = self.pick(scope.structs)
        place = f"{struct}.{self.pick(FIELDS[UNSIGNED] + FIELDS[SIGNED])}"
        index = f"{self.value(scope, 1).text}"
        choice = self.number(0, 3)
        if choice == 0:
            place = f"{struct}.bytes[{index} & 7]"
        if choice == 1:
            place = f"{struct}.pairs[{index} & 3].{self.pick(('left', 'right'))}"
        if self.number(0, 2) == 0 and not place.endswith(".flag"):
            return [f"{place} {self.pick('+-*^|&')}= {self.value(scope, 2).text}"]
        return [f"{place} = {self.value(scope, 2).text}"]

    def pair(self, scope: Scope, depth: int) -> list[str]:
        if not scope.pairs or not scope.structs:
            return self.augmented(scope, depth)
        pair, struct = self.pick(scope.pairs), self.pick(scope.structs)
        index = f"{self.value(scope, 0).text} & 3"
        return self.pick(
            (
                [f"{struct}.pairs[{index}] = {pair}"],
                [f"{struct}.pairs[{index}] = Pair(right={self.value(scope, 1).text})"],
                [f"{pair}.{self.pick(('left', 'right'))} = {self.value(scope, 2).text}"],
                [f"{pair} = {self.pick(scope.pairs)}"],
                [f"self.pairs[{self.number(0, 2)}] = {pair}"],
            )
        )

    def local(self, scope: Scope, depth: int) -> list[str]:
        """A name of its own, assigned here only: another name for a value, or a constant."""
        name, value = self.name("t"), self.expression(scope, self.number(0, DEPTH))
        scope.readable[name] = Expression(name, value.kind, value.constant)
        return [f"{name} = {value.text}"]

    def counter(self, scope: Scope, depth: int) -> list[str]:
        key = f"{self.value(scope, 1).text} & 3"
        operator = self.pick(("=", "+=", "-=", "^=", "*="))
        return [f"self.{self.pick(('counts', 'inputs'))}[{key}] {operator} {self.value(scope, 1).text}"]

    def clobber(self, scope: Scope, depth: int) -> list[str]:
        return [self.pick(("ktime_get_ns()", "get_smp_processor_id()", "self.pairs.delete(1)"))]

    def leave(self, scope: Scope, depth: int) -> list[str]:
        return [f"if {self.condition(scope)}:", f"    {self.pick(('break', 'continue'))}"]

    def branch(self, scope: Scope, depth: int) -> list[str]:
        lines = [f"if {self.condition(scope)}:", *indent(self.block(scope.inner(), depth - 1, self.number(1, 2)))]
        if self.number(0, 2) == 0:
            lines += [f"elif {self.condition(scope)}:", *indent(self.block(scope.inner(), depth - 1, 1))]
        if self.number(0, 1):
            lines += ["else:", *indent(self.block(scope.inner(), depth - 1, self.number(1, 2)))]
        return lines

    def loop(self, scope: Scope, depth: int) -> list[str]:
        bound = self.pick(("3", "2, 5", "5, 0, -2", "-2, 2", None))
        signed = bound in ("5, 0, -2", "-2, 2")
        if bound is None:
            value = self.value(scope, 1)
            bound, signed = f"u64({value.text}) & 3", False
        unsigned = [name for name, kind in scope.variables.items() if kind == UNSIGNED]
        if not signed and unsigned and self.number(0, 3) == 0:
            name = self.pick(unsigned)
            inside = scope.inner(in_loop=True, rounds=scope.rounds * 4)
        else:
            name = self.name("i")
            inside = scope.inner(in_loop=True, rounds=scope.rounds * 4)
            inside.readable[name] = Expression(name, SIGNED if signed else UNSIGNED)
        return [f"for {name} in range({bound}):", *indent(self.block(inside, depth - 1, self.number(1, 3)))]

    def while_loop(self, scope: Scope, depth: int) -> list[str]:
        name = self.name("n")
        inside = scope.inner(in_loop=True, rounds=scope.rounds * 4)
        inside.readable[name] = Expression(name, UNSIGNED)
        body = [f"{name} += 1", *self.block(inside, depth - 1, self.number(1, 2))]
        test = f"while {name} < {self.number(1, 4)}:"
        if self.number(0, 2) == 0:
            test = "while True:"
            body.insert(1, f"if {name} > {self.number(1, 3)}:")
            body.insert(2, "    break")
        return [f"{name} = 0", test, *indent(body)]

    def unrolled(self, scope: Scope, depth: int) -> list[str]:
        name = self.name("c")
        inside = scope.inner(in_loop=True, rounds=scope.rounds * 3)
        inside.readable[name] = Expression(name, UNSIGNED, True)
        members = ", ".join(str(self.pick(CONSTANTS)) for _ in range(self.number(1, 3)))
        return [f"for {name} in ({members},):", *indent(self.block(inside, depth - 1, self.number(1, 2)))]

    def looked_up(self, scope: Scope, depth: int) -> list[str]:
        name = self.name("p")
        inside = scope.inner()
        inside.readable[name] = Expression(f"{name}", UNSIGNED)
        key = f"{self.value(scope, 0).text} & 3"
        body = indent(self.block(inside, depth - 1, self.number(1, 2)))
        if self.number(0, 1):
            lines = [f"{name} = self.counts.lookup({key})", f"if {name} is not None:", *body]
        else:
            lines = [f"if ({name} := self.counts.lookup({key})) is not None:", *body]
        if self.number(0, 1):
            lines += ["else:", *indent(self.block(scope.inner(), depth - 1, 1))]
        return lines

    # -- programs

    def function(self, name: str, kind: str) -> list[str]:
        types = [self.pick(("int", "u8", "s16", "u32", "s64", "u64", "bool")) for _ in range(3)]
        names = [self.name("a") for _ in range(3)]
        struct = ", m: Mixed" if "touch" in name else ""
        parameters = ", ".join(f"{n}: {t}" for n, t in zip(names, types))
        # what an unannotated argument is depends on the call
        known = {n: UNSIGNED if t[0] in "ub" else SIGNED for n, t in zip(names, types) if t != "int"}
        lines = [f"{n}: u64 = {self.pick(names)} + {self.number(0, 9)}" for n in ("v", "w")]
        lines.append(f"z: s64 = {self.pick(names)} - 3")
        scope = Scope({"v": UNSIGNED, "w": UNSIGNED, "z": SIGNED}, structs=["m"] if struct else [])
        scope.readable = {n: Expression(n, k) for n, k in known.items()}
        lines += ["v += 1", "w ^= 2", "z -= 1"]
        for _ in range(self.number(1, 3)):
            lines += self.block(scope, 1, 1)
            if self.number(0, 1):
                lines += [f"if {self.condition(scope)}:", f"    return {self.value(scope).text}"]
        lines.append(f"return {self.value(scope).text}")
        returns = self.pick(("u64", "u32", "u8", "bool") if kind == UNSIGNED else ("s64", "s32", "s8"))
        return ["", f"def {name}(self, ctx: SkBuff, {parameters}{struct}) -> {returns}:", *indent(lines)]

    def program(self) -> tuple[str, str]:
        """Statements of a program, and methods that they call."""
        methods: list[str] = []
        names = []
        for name, kind in (("f_u", UNSIGNED), ("g_s", SIGNED), ("touch_u", UNSIGNED))[: self.number(0, 3)]:
            methods += self.function(name, kind)
            names.append(name)
        lines, scope = self.start()
        scope.functions = names
        body = self.block(scope, 3, self.number(2, 7))
        return "\n".join([*lines, *body, *self.end(scope)]), "\n".join(methods)

    def start(self) -> tuple[list[str], Scope]:
        lines, variables = [], {}
        for index in range(self.number(3, 9)):
            name, kind = f"x{index}", self.pick((UNSIGNED, SIGNED))
            declared = self.pick(TYPES[kind]) if self.number(0, 1) else None
            source = self.pick((f"ctx.u32({4 * index})", f"ctx.u8({index})", f"(ctx.u32({index}) << 32 | ctx.u32(8))"))
            if declared is not None:
                lines.append(f"{name}: {declared} = {source}")
            else:
                lines.append(f"{name} = {source if kind == UNSIGNED else f's64({source})'}")
            lines.append(f"{name} = {name}")
            variables[name] = kind
        lines += ["m = Mixed(small=ctx.u8(3), word=ctx.u32(5), flag=ctx.u8(1))", "p = Pair(left=ctx.u8(7))"]
        lines += ["q = Pair(right=ctx.u32(9))", "q = q", "p = p"]
        return lines, Scope(variables, structs=["m"], pairs=["p", "q"])

    def end(self, scope: Scope) -> list[str]:
        lines = [f"self.out[{index}] = {name}" for index, name in enumerate(scope.variables)]
        return [*lines, "self.mixed[0] = m", "self.pairs[8] = p", "self.pairs[9] = q", "return 1"]


def indent(lines: list[str]) -> list[str]:
    """The lines of a block."""
    return [f"    {line}" for line in lines]


@st.composite
def programs(draw: Callable[[Any], Any]) -> tuple[str, str]:
    """The statements and the methods of a program, for :func:`tests.support.snippets.text_of`."""
    return Writer(draw).program()

"""Python that is valid and nothing more: expressions and statements put together without regard for sense."""

from __future__ import annotations

import ast
import importlib
import inspect
import random
from collections.abc import Iterator, Sequence
from functools import cache


def words(text: str) -> tuple[str, ...]:
    """The words of ``text``."""
    return tuple(text.split())


_LEAVES = words(
    """
    a b i s m p q w ctx self None True 0 1 -1 7 300 4294967296 18446744073709551616 1.5 2j 'text' b'AB' ... Pair Mixed
    u8 s32 u64 u16be bool int str float range len min max print unroll after sizeof swap16 swap64 abs TABLE NAMES FLOAT
    HUGE Color plain twice odd self.counts self.pairs self.mixed self.out self.ring self.per_cpu self.method
    self.program self.limit self.nothing s.left m.pairs m.bytes m.wide p.left ctx.len ctx.u8 ctx.mark self.counts.lookup
    self.ring.reserve self.ring.submit self.out.update ktime_get_ns probe_read_user get_current_comm skb_load_bytes
    get_prandom_u32 unknown ast Struct array object
    """
)
_GENTLE_LEAVES = words(
    """
    a b i x s m p q w None True 0 1 -1 7 300 18446744073709551616 TABLE HUGE s.left m.pairs m.bytes m.wide m.flag w.pair
    ctx.len ctx.u8(3) m.pairs[a&3] m.bytes[i&7] m.pairs[2].left Pair(left=a) Pair() Mixed() self.pairs.lookup(a)
    self.counts.lookup(b) self.method(s) self.method() self.limit plain(a) twice(b) self.pairs.lookup(x) w.wide w.port
    """
)
_ATTRIBUTES = ("left", "right", "wide", "flag", "pairs", "bytes", "lookup", "update", "len", "mark", "x", "real")
_BINARY = words("+ - * / // % ** @ << >> & | ^")
_COMPARE = ["<", "<=", ">", ">=", "==", "!=", "is", "is not", "in", "not in"]
_TARGETS = ("a", "b", "x", "i", "s", "m", "p", "self", "ctx", "Pair", "z")


class Soup:
    """Draws text by a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._gentle = seed % 2 == 0
        """Keep to what the language has, in senseless combinations: gets further."""

    def pick(self, items: Sequence[str]) -> str:
        return self._random.choice(items)

    def expression(self, depth: int) -> str:
        if depth == 0 or self._random.random() < 0.15:
            return self.pick(_GENTLE_LEAVES if self._gentle else _LEAVES)
        one, two, three = (self.expression(depth - 1) for _ in range(3))
        gentle = [
            f"({one} {self.pick(('+', '-', '*', '//', '%', '<<', '>>', '&', '|', '^'))} {two})",
            f"({one} {self.pick(_COMPARE)} {two})",
            f"({one} {self.pick(('is', 'is not'))} None)",
            f"({one} {self.pick(('and', 'or'))} {two})",
            f"({self.pick(('not', '-', '~'))} {one})",
            f"({one} if {two} else {three})",
            f"({one} if {two} else {three})",
            f"({self.pick(('x', 'a', 'p'))} := {one})",
            f"{self.pick(('min', 'u8', 's64', 'plain', 'twice', 'bool', 'self.method', 'len'))}({one})",
            f"({one}).{self.pick(_ATTRIBUTES)}",
            f"({one})[{two}]",
        ]
        if self._gentle:
            return self.pick(gentle)
        forms = [
            f"({one} {self.pick(_BINARY)} {two})",
            f"({one} {self.pick(_BINARY)} {two})",
            f"({one} {self.pick(_COMPARE)} {two})",
            f"({one} {self.pick(_COMPARE)} {two} {self.pick(_COMPARE)} {three})",
            f"({one} {self.pick(('and', 'or'))} {two})",
            f"({self.pick(('not', '-', '+', '~'))} {one})",
            f"({one} if {two} else {three})",
            f"({one}).{self.pick(_ATTRIBUTES)}",
            f"({one})[{two}]",
            f"({one})[{two}:{three}]",
            f"({one})()",
            f"({one})({two})",
            f"({one})({two})",
            f"({one})({two}, {three})",
            f"({one})({two}, {three}, {self.expression(depth - 1)})",
            f"({one})({self.pick(('left', 'wide', 'key', 'value', 'flags', 'size', 'kind'))}={two})",
            f"({one})(*{two})",
            f"({one})(**{two})",
            f"({one}, {two})",
            f"[{one}, {two}]",
            f"{{{one}, {two}}}",
            f"{{{one}: {two}}}",
            f"({self.pick(_TARGETS)} := {one})",
            f"(lambda: {one})",
            f"[{one} for z in {two}]",
            f"f'{{{self.pick(('a', 's', 'ctx'))}}}'",
            f"({one}) if ({two}) else None",
        ]
        return self.pick(forms)

    def target(self, depth: int) -> str:
        one = self.expression(depth)
        return self.pick(
            (
                self.pick(_TARGETS),
                self.pick(_TARGETS),
                f"({one}).{self.pick(_ATTRIBUTES)}",
                f"({one})[{self.expression(depth)}]",
                f"{self.pick(_TARGETS)}, {self.pick(_TARGETS)}",
                f"self.counts[{one}]",
                f"m.pairs[{one}].left",
            )
        )

    def statements(self, depth: int) -> list[str]:
        one = self.expression(2)
        body = self.block(depth - 1) if depth else ["    pass"]
        if self._gentle:
            return self.gentle_statements(one, body)
        if self._random.random() < 0.5:
            return [self.pick((f"{self.target(1)} = {one}", f"x = {one}", one))]
        forms = [
            [f"{self.target(1)} {self.pick(_BINARY)}= {one}"],
            [f"x: {self.pick(('u8', 's16', 'bool', 'int', 'Pair', 'Pair | None', 'str', one))} = {self.expression(2)}"],
            [f"x: {self.pick(('u8', 'Pair'))}"],
            [f"return {one}"],
            ["return"],
            [f"if {one}:", *body],
            [f"if {one}:", *body, "else:", *body],
            [f"while {one}:", *body],
            [f"while {one}:", *body, "    break"],
            [f"for {self.pick((*_TARGETS, 'x, z', 's.left'))} in {one}:", *body],
            [f"for {self.pick(_TARGETS)} in range({one}):", *body],
            [f"for {self.pick(_TARGETS)} in unroll({one}):", *body, "    continue"],
            [f"assert {one}"],
            [f"del {self.pick(_TARGETS)}"],
            [f"raise {one}"],
            ["try:", *body, "finally:", "    pass"],
            [f"with {one} as x:", *body],
            ["def inner():", *body],
            ["import os"],
            ["global b2"],
            [f"{self.pick(_TARGETS)} = {self.pick(_TARGETS)} = {one}"],
        ]
        return self._random.choice(forms)

    def gentle_statements(self, one: str, body: list[str]) -> list[str]:
        place = self.pick(
            ("s.left", "m.pairs[i & 3]", "self.pairs[a]", "self.counts[b]", "m.flag", "w.wide", "m.bytes[a & 7]")
        )
        forms = [
            [f"{self.pick(('x', 'a', 'b', 's', 'p', 'z'))} = {one}"],
            [f"{self.pick(('x', 'a', 'b', 's', 'p', 'z'))} = {one}"],
            [f"{self.pick(('x', 'a', place))} {self.pick('+-*|&^')}= {one}"],
            [f"{place} = {one}"],
            [f"x: {self.pick(('u8', 's16', 'bool', 'Pair'))} = {one}"],
            [f"return {one}"],
            [f"if {one}:", *body],
            [f"if {one}:", *body, "else:", *body],
            [f"while {one}:", *body, "    break"],
            [f"for {self.pick(('x', 'i', 'z'))} in range({one}):", *body],
            [f"for {self.pick(('x', 'i', 'z'))} in TABLE:", *body, self.pick(("    continue", "    break"))],
        ]
        return self._random.choice(forms)

    def block(self, depth: int) -> list[str]:
        lines: list[str] = []
        for _ in range(self._random.randint(1, 3)):
            lines += self.statements(depth)
        return [f"    {line}" for line in lines]

    def program(self) -> str:
        """Statements after :data:`PROLOGUE`."""
        return "\n".join(line[4:] for line in self.block(2)) + "\nreturn 0"


FUNCTIONS = """
import ast, enum
class Color(enum.Enum):
    RED = 1
TABLE = (1, 2, 3)
NAMES = {"a": 1}
FLOAT = 2.5
HUGE = 1 << 80
def plain(n):
    return n + 1
def twice(n: u8, m=Pair) -> u16:
    if n:
        return n
    return 3
def odd(*values, **names):
    return None
"""
METHODS = """
limit = Constant(u32, default=3)
def method(self, n=None):
    if n is None:
        return None
    return n
"""
PROLOGUE = """\
a = ctx.u8(1)
b: s64 = ctx.u8(2)
b = b + 1
i = 0
i += 1
s = Pair(left=1)
m = Mixed()
p = self.pairs.lookup(1)
q = self.counts.lookup(2)
w = Wire()
"""

_MODULES = words(
    """
    argparse ast base64 bisect calendar colorsys copy csv dataclasses difflib dis enum fractions heapq html.parser
    inspect ipaddress json.decoder json.encoder keyword locale operator pprint quopri random sched shlex statistics
    string struct tabnanny textwrap tokenize typing uuid zipfile _pydecimal _strptime encodings.punycode
    """
)


@cache
def library_functions() -> tuple[ast.FunctionDef, ...]:
    """Functions of Python's own library."""
    return tuple(_functions())


def _functions() -> Iterator[ast.FunctionDef]:
    for name in _MODULES:
        try:
            text = inspect.getsource(importlib.import_module(name))
        except (ImportError, OSError):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and not any(isinstance(n, ast.Nonlocal) for n in ast.walk(node)):
                yield node


class _Renamed(ast.NodeTransformer):
    """Puts names of the language where the library has its own."""

    def __init__(self, seed: int) -> None:
        self._soup = Soup(seed)
        self._names: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load):
            key = f"load {node.id}"
            if key not in self._names:
                self._names[key] = self._soup.pick(_LEAVES)
            return ast.copy_location(ast.parse(self._names[key], mode="eval").body, node)
        if node.id not in self._names:
            self._names[node.id] = self._soup.pick(_TARGETS)
        return ast.copy_location(ast.Name(self._names[node.id], node.ctx), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            node.attr = self._soup.pick(_ATTRIBUTES)
        return node


def library_program(index: int, seed: int | None) -> str:
    """The body of a function of the library; with a ``seed``, its names replaced by those of the language."""
    node = library_functions()[index % len(library_functions())]
    tree = ast.parse(ast.unparse(node))
    if seed is not None:
        tree = ast.fix_missing_locations(_Renamed(seed).visit(tree))
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    return "\n".join(ast.unparse(statement) for statement in function.body)

"""What a newcomer reads who writes Python that is not in the language: one row each, with the hint that helps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pybpf.lang.errors import CompileError, CompilerDefect
from tests.support.snippets import compiled


@dataclass(frozen=True)
class Row:
    """``statements`` are wrong in the line marked HERE, or in their only line."""

    statements: str
    message: str
    hint: str
    functions: str = ""
    methods: str = ""


STRUCTS = """
class Big(Struct):
    data: list[int] = array(u64, 80)

class Text(Struct):
    comm: bytes = byte_array(16)
"""

TABLE = {
    # statements that are not there
    "with": Row("with open('x') as f:  # HERE\n    pass", "With statements are not in the language", "plain calls"),
    "assert": Row("assert ctx.len > 0", "Assert statements are not in the language", "return early"),
    "raise": Row("raise ValueError", "Raise statements are not in the language", "return early"),
    "import": Row("import time", "Import statements are not in the language", "top of the module"),
    "global": Row("global x", "Global statements are not in the language", "keep state in a map"),
    "delete": Row("del self.counts[1]", "Delete statements are not in the language", "delete(key)"),
    "function": Row("def inner():  # HERE\n    pass", "FunctionDef statements", "module level"),
    "class": Row("class Inner:  # HERE\n    pass", "ClassDef statements", "module level"),
    "two targets": Row("a = b = 1", "one target an assignment", "one line each"),
    "unpacking": Row("a, b = 1, 2", "cannot assign to Tuple", "one name, field or element"),
    "declaration alone": Row("x: u32", "a declaration needs a value", "x: u32 = 0"),
    "else of a loop": Row(
        "for i in range(3):\n    pass\nelse:\n    pass  # HERE",
        "else after a loop is not in the language",
        "set a flag",
    ),
    "loop without end": Row("while True:  # HERE\n    self.counts[1] += 1", "this loop never ends", "break or return"),
    "nothing done": Row("ctx.len == 3", "this line does nothing", "assign it"),
    "forgotten call": Row("self.counts.delete", "this line does nothing: it is the method delete", "call it"),
    # expressions that are not there
    "lambda": Row("f = lambda: 1", "Lambda expressions are not in the language", "it is inlined"),
    "comprehension": Row("x = [i for i in range(3)]", "ListComp expressions", "for loop over range()"),
    "dict": Row("x = {1: 2}", "Dict expressions are not in the language", "HashMap"),
    "list of numbers": Row("x = [ctx.len, 2]", "a list in a program holds constants only", "use a Struct"),
    "float": Row("x = ctx.len * 0.5", "BPF has no floating point", "scale to integers"),
    "float of the module": Row(
        "x = ctx.len * RATE", "expected an integer, got the constant 0.5", "scale", "RATE = 0.5"
    ),
    "power": Row("x = ctx.len ** 2", "the operator Pow is not in the language", "multiply"),
    "text": Row("x = ctx.len + 'a'", "expected an integer, got the constant 'a'", ""),
    "slice": Row("m = Mixed(); x = m.bytes[1:3]", "slices are not in the language", "to a helper"),
    "stars": Row("x = min(*(1, 2))", "* and ** arguments are not in the language", "one by one"),
    # integers
    "division by zero": Row("x = ctx.len // 0", "division by 0", "positive"),
    "remainder by zero": Row("x = 5 % 0", "ZeroDivisionError", ""),
    "signed division": Row("x = s64(ctx.len) // 3", "rounds differently in C and in Python", "u64(x) // n"),
    "shift too far": Row("x = ctx.len << 64", "a shift by 64", "0 to 63"),
    "negative shift": Row("x = ctx.len >> -1", "a shift by -1", "0 to 63"),
    "too large for its field": Row("m = Mixed(byte=300)", "300 does not fit u8", "u8(300)"),
    "too large for its type": Row("x: u16 = 70_000", "70000 does not fit u16", "u16(70000)"),
    "too large for a key": Row("self.counts[1 << 40] = 1", "does not fit u32", "u32("),
    "negative for unsigned": Row("x = 1\nx = -1  # HERE", "'x' began as unsigned and gets a signed value", "x: s64"),
    "below zero": Row("if ctx.len < 0 - 1:  # HERE\n    return 1", "an unsigned integer is never -1", "s64(x)"),
    "byte order is for memory": Row("x = u16be(ctx.len)", "u16be describes memory, not numbers", "host order"),
    "a variable in network order": Row("x: u16be = 1", "u16be describes memory, not numbers", "u16"),
    "text as a type": Row("x: str = 'a'", "str is no type of the language", "u8 to u64"),
    "a list as a type": Row("x: list[int] = 1", "list[int] is no type of the language", "u8 to u64"),
    "another type later": Row("x: u8 = 1\nx: u16 = 2  # HERE", "'x' has a type already", "first assigned"),
    "in a list of texts": Row("x = ctx.len in ('a', 'b')", "`in` looks for integers, 'a' is none", ""),
    "in a range": Row("x = ctx.len in range(5)", "`in` needs constants here", "low <= x < high"),
    "in a map": Row("x = 1 in self.counts", "`in` needs a constant tuple", "is not None"),
    "is a number": Row("x = ctx.len is 5", "`is` compares with None only", "use =="),
    # names
    "changed global": Row(
        "COUNT += 1", "used before it is assigned: the function assigns it", "keep what changes in a map", "COUNT = 0"
    ),
    "prefix of C": Row("x = bpf_ktime_get_ns()", "'bpf_ktime_get_ns' is not defined", "import ktime_get_ns"),
    "loop variable afterwards": Row(
        "for i in range(3):\n    pass\nreturn i  # HERE", "'i' is known inside of its loop only", "last = i"
    ),
    "assigned parameter": Row("ctx = 1", "'ctx' is the context (SkBuff); it cannot be assigned", "another name"),
    "assigned self": Row("self.counts = 1", "self.counts cannot be assigned", "self.counts[key] = value"),
    "assigned field of a module": Row("Pair.left = 1", "cannot write to the class Pair", "in maps"),
    "name for two things": Row("x = 1\nx = Pair()  # HERE", "expected an integer, got a pointer to Pair", "field"),
    "name for two structs": Row(
        "x = Pair()\nx = Mixed()  # HERE", "'x' is a pointer to Pair; it cannot become a pointer to Mixed", "two names"
    ),
    "name for two memories": Row(
        "x = Pair()\nif ctx.len:\n    y = self.pairs.lookup(1)\n    if y is not None:\n        x = y  # HERE",
        "'x' points into the stack; it cannot point into a map",
        "two names",
    ),
    # None
    "compared with None by ==": Row(
        "p = self.pairs.lookup(1)\nif p == None:  # HERE\n    pass", "is compared with None", "`is None`"
    ),
    "zero or None": Row(
        "n = self.counts.lookup(1)\nif n:  # HERE\n    pass", "is this a test for None or for zero?", "is not None"
    ),
    "compared before the test": Row("x = self.counts.lookup(1) > 5", "the value may be None here", "test it for None"),
    "stored before the test": Row("self.counts[1] = self.counts.lookup(2)", "the value may be None here", "test it"),
    "None in the next round": Row(
        "p = self.pairs.lookup(1)\nif p is None:\n    return 0\nfor i in range(3):\n    x = p.left  # HERE\n"
        "    p = self.pairs.lookup(i)",
        "'p' may be None here",
        "if p is None",
    ),
    "a pointer from and": Row(
        "p = self.pairs.lookup(1)\nx = p and p.left  # HERE", "this one is a pointer", "is not None"
    ),
    # structs and arrays
    "positional fields": Row("p = Pair(1, 2)", "Pair takes its fields by name", "Pair(left=...)"),
    "struct as a number": Row("p = Pair(); x = p + 1", "expected an integer, got a pointer to Pair", "name the field"),
    "structs compared": Row("p = Pair(); x = p == p", "expected an integer, got a pointer to Pair", "name the field"),
    "bytes compared": Row(
        "t = Text(); x = t.comm == b'sh'", "expected an integer, got a pointer to bytes[16]", "one by one", STRUCTS
    ),
    "bytes assigned": Row(
        "t = Text()\nt.comm = b'sh'  # HERE", "cannot store the constant b'sh'", "one by one", STRUCTS
    ),
    "number for a struct": Row(
        "m = Mixed()\nm.pairs[1] = 5  # HERE", "cannot store the constant 5", "fields one by one"
    ),
    "field of a class": Row("x = Pair.left", "has no attribute 'left'", ""),
    "index of a struct": Row("p = Pair(); x = p[0]", "a pointer to Pair cannot be indexed", ""),
    "large copy": Row(
        "a = self.big.lookup(0)\nb = self.big.lookup(1)\nif a is None or b is None:\n    return 0\nself.holder(a, b)",
        "640 bytes are too many to copy",
        "pass the address to a helper",
        STRUCTS + "\nclass Holder(Struct):\n    one: Big\n    two: Big\n",
        "big = Array(value=Holder, max_entries=2)\ndef holder(self, a, b):\n    a.one = b.one  # HERE\n    return 0",
    ),
    # calls
    "print": Row("print(ctx.len)", "print cannot be called from a program", "ring buffer"),
    "abs": Row("x = abs(s64(ctx.len))", "abs cannot be called from a program", "-x if x < 0 else x"),
    "str": Row("x = str(ctx.len)", "str cannot be called from a program", "format them in Python"),
    "the clock of Python": Row(
        "x = time.time()", "time.time cannot be called from a program", "ktime_get_ns()", "import time"
    ),
    "calling a number": Row("x = ctx.len()", "an integer (u64) cannot be called", ""),
    "calling a program": Row("x = self.program(ctx)", "self.program cannot be called", "into a plain method"),
    "wrong number of arguments": Row("x = f(1, 2)", "f: too many positional arguments", "f(a)", "def f(a): return a"),
    "missing argument": Row("x = f()", "f: missing a required argument: 'a'", "f(a)", "def f(a): return a"),
    "any number of arguments": Row("x = f(1)", "f takes *a", "", "def f(*a): return 1"),
    "nothing returned": Row("x = f()", "this call returns nothing", "", "def f(): pass"),
    "different results": Row(
        "x = f(ctx.len)",
        "this gives a pointer to Pair, another way gives the constant 1",
        "the same on all ways",
        "def f(n):\n    if n:\n        return 1\n    return Pair()  # HERE",
    ),
    "number or None": Row(
        "x = f(ctx.len)",
        "this gives nothing, another way gives the constant 1",
        "the same on all ways",
        "def f(n):  \n    if n:\n        return 1\n",
    ),
    "a typed function without a return": Row(
        "x = f(ctx.len)", "f may end here without a return", "it gives u8", "def f(n) -> u8:\n    n + 1  # HERE\n"
    ),
    "mutual recursion": Row(
        "x = f(1)", "f calls itself", "bounded loop", "def f(n): return g(n)\ndef g(n): return f(n)  # HERE"
    ),
    "a decorated function": Row(
        "x = f(1)",
        "f is wrapped by a decorator",
        "leave the decorator away",
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(n): return f(n) * 2\n    return g\n"
        "@twice\ndef f(n): return n",
    ),
    # maps and rings
    "method of a dict": Row("x = self.counts.get(1)", "HashMap has no method 'get'", "delete, lookup, update"),
    "walking through a map": Row("for k in self.counts:  # HERE\n    pass", "cannot walk through a map", "in Python"),
    "too few arguments": Row("self.counts.update(1)", "self.counts.update takes (key, value, flags)", ""),
    "unknown argument": Row("self.counts.lookup(k=1)", "unexpected argument 'k'", "takes (key)"),
    "number for a struct of a map": Row(
        "self.pairs[1] = 5", "the value must be Pair, not the constant 5", "Pair(left="
    ),
    "counting in structs": Row("self.pairs[1] += 5", "the values of pairs are no integers", "change a field"),
    "number into a ring": Row("self.ring.output(5)", "output() takes something in memory", "pass a struct"),
    "number reserved": Row("x = self.ring.reserve(u64)", "reserve() takes a Struct class", ""),
    "tail of any size": Row(
        "x = self.ring.reserve(Pair, ctx.len)", "the tail of a record has a constant size", "output()"
    ),
    "used after submit": Row(
        "e = self.ring.reserve(Pair)\nif e is None:\n    return 0\nself.ring.submit(e)\ne.left = 1  # HERE",
        "'e' was submitted or discarded",
        "do it last",
    ),
    "submitted twice": Row(
        "e = self.ring.reserve(Pair)\nif e is None:\n    return 0\nself.ring.submit(e)\nself.ring.discard(e)  # HERE",
        "'e' was submitted or discarded",
        "do it last",
    ),
    "not submitted": Row(
        "e = self.ring.reserve(Pair)\nif e is None:\n    return 0\ne.left = 1\nreturn 0  # HERE",
        "neither submitted nor discarded on this way",
        "before the return",
    ),
    "packet read with a record in hand": Row(
        "e = self.ring.reserve(Pair)\nif e is None:\n    return 0\ne.left = ctx.u8(0)  # HERE\nself.ring.submit(e)",
        "would end the program with a reserved record",
        "before reserve()",
    ),
    "something else submitted": Row("p = Pair(); self.ring.submit(p)", "was not reserved in ring", ""),
    # the context
    "byte before the packet": Row("x = ctx.u8(-1)", "the packet has no byte -1", "start of the packet"),
    "unknown size": Row("x = ctx.u64(0)", "SkBuff has no attribute 'u64'", "it has len"),
    "size of a type too small": Row(
        "x = skb_load_bytes(ctx, 0, Pair(), 9)", "9 bytes do not fit the 8 of a pointer to Pair", "sizeof(T)"
    ),
    # what is repeated
    "unrolled too often": Row("for i in unroll(range(999)):  # HERE\n    pass", "more than 256 members", "range()"),
    "unrolled too deep": Row(
        "for i in unroll(range(200)):\n    for j in unroll(range(200)):  # HERE\n        pass",
        "the program gets too long here",
        "a real loop",
    ),
    "unrolled to a variable": Row(
        "for i in unroll(range(ctx.len)):  # HERE\n    pass", "constant bounds", "leave unroll"
    ),
    "step of a variable": Row("for i in range(0, 9, ctx.len):  # HERE\n    pass", "the step of a range", "use while"),
    "range of floats": Row("for i in range(1.5):  # HERE\n    pass", "BPF has no floating point", "scale"),
    "enumerate": Row("for i in enumerate((1, 2)):  # HERE\n    pass", "enumerate() is not in the language", "index"),
}


@pytest.mark.parametrize("row", TABLE.values(), ids=[name.replace(" ", "_") for name in TABLE])
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_mistakes_are_explained_where_they_are(row: Row) -> None:
    with pytest.raises(CompileError) as caught:
        compiled(row.statements + "\nreturn 0", row.functions, row.methods)
    error = caught.value
    assert not isinstance(error, CompilerDefect)
    assert row.message in error.message
    assert row.hint in (error.hint or "")
    assert error.source is not None
    marked = "HERE" in row.statements + row.functions + row.methods
    assert ("HERE" if marked else row.statements) in error.source.text
    place, text, caret = str(error).splitlines()[:3]
    assert place.endswith(error.message)
    assert text.strip() == error.source.text.strip()
    assert caret.strip() == "^"
    assert caret.index("^") - 4 < len(text.strip())

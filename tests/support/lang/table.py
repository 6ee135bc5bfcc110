"""Statements of the language and what they compute, one row each: run in the machine of Python and in the kernel."""

from __future__ import annotations

from dataclasses import dataclass

MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Row:
    """Byte n of the packet is n; ``expected`` is what ``out[0]`` is at the end, modulo 2**64."""

    name: str
    expected: int
    statements: str
    functions: str = ""
    methods: str = ""


TABLE = [
    Row("a constant minus a variable", 85, "x = ctx.u8(15); x = 100 - x; self.out[0] = x"),
    Row("a shift of a variable by itself", 40, "x = ctx.u8(3); x = u64(ctx.u8(5)) << x; self.out[0] = x"),
    Row("a quotient in place of its divisor", 9, "x = ctx.u8(7); x = u64(ctx.u8(63)) // x; self.out[0] = x"),
    Row("a remainder in place of its divisor", 6, "x = ctx.u8(7); x = u64(ctx.u8(62)) % x; self.out[0] = x"),
    Row("division by zero gives zero", 0, "n = 0; n = 0; self.out[0] = ctx.u8(9) // n"),
    Row("a remainder by zero is the dividend", 9, "n = 0; n = 0; self.out[0] = ctx.u8(9) % n"),
    Row("shift counts are taken modulo 64", 48, "n = 68; n = 68; self.out[0] = u64(ctx.u8(3)) << n"),
    Row("a product with 2**64 is zero", 1, "self.out[0] = ctx.u8(9) * (1 << 64) + 1"),
    Row("a quotient by more than 64 bits is zero", 0, "self.out[0] = ctx.u8(9) // (1 << 70)"),
    Row("a remainder by more than 64 bits is the dividend", 9, "self.out[0] = ctx.u8(9) % ((1 << 70) + 3)"),
    Row("signed division by a power of two rounds down", -2, "self.out[0] = (s64(ctx.u8(1)) - 6) // 4"),
    Row("a signed remainder of a power of two is positive", 3, "self.out[0] = (s64(ctx.u8(1)) - 6) % 4"),
    Row("a signed shift keeps the sign", -3, "self.out[0] = (s64(ctx.u8(1)) - 6) >> 1"),
    Row("a negative constant shifts as signed", -2, "self.out[0] = -8 >> ctx.u8(2)"),
    Row("the inverse of a bool is that of an integer", 15, "b = ctx.u8(1) == 1; self.out[0] = ~b >> 60"),
    Row("signed and 32 ones stays signed", 1, "x = s64(ctx.u8(1)) & 0xFFFFFFFF; self.out[0] = x - 5 < 0"),
    # comparisons with constants that no value of the type reaches
    Row("below 2**64 is always", 1, "self.out[0] = 1 if ctx.u8(9) < 1 << 64 else 0"),
    Row("2**64 is never", 1, "self.out[0] = 0 if ctx.u8(9) == 1 << 64 else 1"),
    Row("signed below 2**63 is always", 1, "self.out[0] = 1 if s64(ctx.u8(9)) < 1 << 63 else 0"),
    Row("signed is never 2**64 - 1", 0, "self.out[0] = 1 if s64(ctx.u8(1)) - 2 == (1 << 64) - 1 else 0"),
    Row("the mirror of an unreachable constant", 1, "self.out[0] = 1 if 1 << 64 >= ctx.u8(9) else 0"),
    Row("in a constant tuple with an unreachable one", 1, "self.out[0] = ctx.u8(9) in (1 << 64, 3, 9)"),
    Row("not in", 1, "self.out[0] = ctx.u8(9) not in {1, 2}"),
    Row("in bytes", 1, "self.out[0] = ctx.u8(0x43) in b'ABC' if ctx.u8(1) == 0 else 1"),
    # declared types
    Row("a declared u8 stays one", 44, "x: u8 = 0; x += 300 - ctx.u8(0); self.out[0] = x"),
    Row("a declared s8 is signed", -56, "x: s8 = 0; x = 200 + ctx.u8(0); self.out[0] = x"),
    Row("a declared bool is 0 or 1", 1, "x: bool = ctx.u8(6); self.out[0] = x"),
    Row("bool of an integer", 1, "self.out[0] = bool(ctx.u8(6)) + bool(ctx.u8(0))"),
    Row("a bool field is 0 or 1", 1, "m = Mixed(flag=ctx.u8(6)); self.out[0] = m.flag"),
    Row("a bool field of 256 is true", 1, "m = Mixed(flag=ctx.u8(1) << 8); self.out[0] = m.flag"),
    # order of evaluation
    Row("an operand is read before a later :=", 105, "x = ctx.u8(5); y = x + (x := 100); x = 0; self.out[0] = y"),
    Row("two :=", 3, "x = 0; self.out[0] = (x := ctx.u8(1)) + (x := ctx.u8(2))"),
    Row(
        "an argument is read before a later :=",
        52,
        "x = ctx.u8(5); self.out[0] = two(x, (x := 2))",
        "def two(a, b):\n    return a * 10 + b",
    ),
    Row(
        "arguments by name in the order they are written",
        52,
        "x = ctx.u8(2); self.out[0] = two(b=x, a=(x := 5))",
        "def two(a, b):\n    return a * 10 + b",
    ),
    Row(
        "a comparison reads its left side first",
        1,
        "there = self.inputs.lookup(0)\nif there is None:\n    return 0\nself.out[0] = there < self.bump()",
        methods="def bump(self):\n    self.inputs[0] += 5\n    return 1",
    ),
    Row("min of a value that changes", 5, "x = ctx.u8(5); self.out[0] = min(x, (x := 9), 7); self.out[1] = x"),
    Row("max of three", 9, "self.out[0] = max(ctx.u8(5), ctx.u8(9), 7)"),
    Row(
        "an element is read before the value that changes it",
        10,
        "p = Pair(left=10)\np.left += take(p)\nself.out[0] = p.left",
        "def take(p):\n    p.left = 77\n    return 0",
    ),
    Row(
        "a value is there before its place",
        3,
        "x = 0; a = Mixed(); a.bytes[(x := ctx.u8(3)) & 7] = x + ctx.u8(0); self.out[0] = x + a.bytes[3]",
    ),
    # and, or, conditional expressions give values
    Row("or gives the first true operand", 9, "self.out[0] = ctx.u8(0) or ctx.u8(9) or 5"),
    Row("or gives the last operand", 5, "self.out[0] = ctx.u8(0) or 5"),
    Row("and gives the last operand", 5, "self.out[0] = ctx.u8(9) and 5"),
    Row("and gives the first false operand", 0, "self.out[0] = ctx.u8(0) and 5"),
    Row("and of a condition and a value", 9, "self.out[0] = ctx.u8(1) == 1 and ctx.u8(9)"),
    Row("or of a condition and a value", 1, "self.out[0] = ctx.u8(1) == 1 or ctx.u8(9)"),
    Row("and with a known operand", 9, "self.out[0] = 3 and ctx.u8(9)"),
    Row("or with a known operand", 3, "self.out[0] = 3 or ctx.u8(9)"),
    Row(
        "and does not go on after false",
        0,
        "x = ctx.u8(0) and self.bump()\nself.out[0] = self.seen() + x",
        methods="def bump(self):\n    self.per_cpu[0] += 5\n    return 1\n"
        "def seen(self):\n    n = self.per_cpu.lookup(0)\n    return 99 if n is None else n + 0",
    ),
    Row(
        "a test for None proves it for the right side",
        7,
        "self.pairs[1] = Pair(left=7)\np = self.pairs.lookup(1)\nself.out[0] = p is not None and p.left",
    ),
    Row(
        "one of two pointers",
        2,
        "a = Pair(left=1)\nb = Pair(left=2)\np = a if ctx.u8(1) == 0 else b\nself.out[0] = p.left",
    ),
    Row(
        "a pointer or None",
        2,
        "a = Pair(left=1)\np = a if ctx.u8(1) == 0 else None\nself.out[0] = 2 if p is None else p.left",
    ),
    Row("an element or a default", 5, "self.out[0] = (self.counts.lookup(1) or 5)"),
    Row("an element that is zero, or a default", 5, "self.counts[1] = 0; self.out[0] = self.counts.lookup(1) or 5"),
    Row("an element rather than a default", 7, "self.counts[1] = 7; self.out[0] = self.counts.lookup(1) or 5"),
    # loops
    Row(
        "a loop leaves the last value in its name",
        4,
        "i = 7\nfor i in range(ctx.u8(5) & 7):\n    pass\nself.out[0] = i",
    ),
    Row(
        "a loop that never runs leaves its name", 7, "i = 7\nfor i in range(ctx.u8(0) & 7):\n    pass\nself.out[0] = i"
    ),
    Row(
        "a loop variable may be changed",
        63,
        "t = 0\nfor i in range(ctx.u8(3) & 7):\n    i = i * 10 + 11\n    t += i\nself.out[0] = t",
    ),
    Row(
        "loops of one name inside of each other",
        31,
        "t = 0\nfor i in range(3):\n    t += 10\n    for i in range(1):\n        t += i\nself.out[0] = t + 1",
    ),
    Row(
        "a constant loop variable may be changed",
        9,
        "t = 0\nfor x in (1, 2, 3):\n    x += 1\n    t += x\nself.out[0] = t",
    ),
    Row("unrolled pairs", 23, "t = 0\nfor a, b in unroll(((1, 2), (3, 7))):\n    t += a * b\nself.out[0] = t"),
    Row("a negative step", 10070401, "t: s64 = 0\nfor i in range(10, 0, -3):\n    t = t * 100 + i\nself.out[0] = t"),
    Row(
        "a negative step from an unsigned number",
        6,
        "t: s64 = 0\nfor i in range(ctx.u8(3) & 7, -1, -1):\n    t += i\nself.out[0] = t",
    ),
    Row("a range that is empty", 0, "t = 0\nfor i in range(5, ctx.u8(2) & 7):\n    t += 1\nself.out[0] = t"),
    Row(
        "bounds are read once",
        3,
        "n = ctx.u8(3) & 7\nt = 0\nfor i in range(n):\n    n = 100\n    t += 1\nself.out[0] = t",
    ),
    Row(
        "break and continue in while",
        25,
        "i = 0\nt = 0\nwhile True:\n    i += 1\n    if i % 2 == 0:\n        continue\n    if i > 10:\n        break\n"
        "    t += i\nself.out[0] = t",
    ),
    Row(
        "a value from before the change of a variable",
        3,
        "x = 0\nfor i in range(4):\n    y = x\n    x += 1\n    if i == 3:\n        self.out[0] = y",
    ),
    # names and None
    Row(
        "a name that begins as None",
        5,
        "self.pairs[2] = Pair(left=5)\np = None\nfor i in range(4):\n    if p is None:\n"
        "        p = self.pairs.lookup(i)\n"
        "self.out[0] = 99 if p is None else p.left",
    ),
    Row(
        "a name that stays None",
        99,
        "p = None\nif ctx.u8(0) == 1:\n    p = self.pairs.lookup(1)\nself.out[0] = 99 if p is None else p.left",
    ),
    Row(
        "a function that gives a pointer or None",
        8,
        "self.pairs[3] = Pair(left=4)\na = self.find(3)\nb = self.find(4)\n"
        "self.out[0] = (99 if a is None else a.left) * 2 if b is None else 1",
        methods="def find(self, key):\n    if key > 3:\n        return None\n    return self.pairs.lookup(key)",
    ),
    Row(
        "None first, a struct of the stack later",
        3,
        "a = pick(ctx.u8(1))\nb = pick(ctx.u8(9))\nself.out[0] = 50 if a is not None or b is None else b.left",
        "def pick(n):\n    if n < 5:\n        return None\n    return Pair(left=3)",
    ),
    Row(
        "a struct that was tested elsewhere",
        6,
        "self.pairs[3] = Pair(left=6)\np = self.get()\nself.out[0] = p.left if p is not None else 0",
        methods="def get(self):\n    p = self.pairs.lookup(3)\n    if p is None:\n        return None\n    return p",
    ),
    # functions
    Row(
        "a negative constant makes a result signed",
        1,
        "self.out[0] = 1 if sign(ctx.u8(1)) < 0 else 0",
        "def sign(n):\n    if n > 3:\n        return n\n    return -1",
    ),
    Row(
        "the same constant on all ways is a constant",
        4,
        "self.out[0] = (0, 0, 4)[two(ctx.u8(1))]",
        "def two(n):\n    if n > 3:\n        return 2\n    return 2",
    ),
    Row("a result of a declared type", 44, "self.out[0] = cut(ctx.u8(30))", "def cut(n) -> u8:\n    return n * 10"),
    Row("a parameter of a declared type", 44, "self.out[0] = cut(ctx.u8(30) * 10)", "def cut(n: u8):\n    return n"),
    Row(
        "a parameter that changes",
        25,
        "x = ctx.u8(5); self.out[0] = square(x) + x - 5",
        "def square(n):\n    n *= n\n    return n",
    ),
    Row(
        "defaults and keywords",
        123,
        "self.out[0] = three(ctx.u8(1), c=ctx.u8(3))",
        "def three(a, b=2, *, c):\n    return a * 100 + b * 10 + c",
    ),
    Row(
        "a static method",
        6,
        "self.out[0] = self.twice(ctx.u8(3))",
        methods="@staticmethod\ndef twice(n):\n    return n * 2",
    ),
    Row(
        "a method under another name",
        6,
        "f = self.twice; self.out[0] = f(ctx.u8(3))",
        methods="def twice(this, n):\n    return n * 2",
    ),
    Row(
        "a bool result",
        2,
        "self.out[0] = (1 if big(ctx.u8(9)) else 0) + big(ctx.u8(9))",
        "def big(n) -> bool:\n    if n > 5:\n        return n\n    return False",
    ),
    # structs
    Row(
        "a struct built from itself in a loop",
        13,
        "p = Pair(left=1, right=1)\nfor i in range(5):\n    p = Pair(left=p.right, right=p.left + p.right)\n"
        "self.out[0] = p.right",
    ),
    Row(
        "structs in a struct change places in a loop",
        21,
        "o = Outer(first=Pair(left=1), second=Pair(left=2))\nfor i in range(3):\n"
        "    o = Outer(first=o.second, second=o.first)\nself.out[0] = o.first.left * 10 + o.second.left",
    ),
    Row(
        "bytes between fields are zero",
        0,
        "m = Mixed(small=-1, half=-1, wide=-1)\nself.mixed[0] = m\nself.out[0] = m.word + m.flag + m.pairs[3].right",
    ),
    Row(
        "an array of structs with an index known at run time",
        41,
        "m = Mixed()\nfor i in range(4):\n    m.pairs[i & 3].right = i * 10 + 1\n"
        "self.out[0] = m.pairs[ctx.u8(4) & 3].left + m.pairs[ctx.u8(3) & 3].right + 10",
    ),
    Row(
        "packed fields on the stack",
        0x1122334455667788 + 513 - 7 + 5,
        "w = Wire(kind=1, wide=0x1122334455667788, port=ctx.u16(1) + 255, word=-7, pair=Pair(left=5))\n"
        "w.wide += 0\nq = w.pair\nself.out[0] = w.wide + w.port + w.word + q.left",
    ),
    Row(
        "negative constants in fields",
        (1 << 8) + (1 << 16) - 6,
        "w = Mixed(byte=-1, half=-1, wide=-5)\nw.small = 255\n"
        "self.out[0] = w.byte + u16(w.half) + w.wide + w.small + 2",
    ),
    Row(
        "copies of structs",
        12,
        "m = Mixed()\nm.pairs[0] = Pair(left=5, right=7)\nm.pairs[ctx.u8(2) & 3] = m.pairs[0]\nm.pairs[0] = Pair()\n"
        "self.out[0] = m.pairs[2].left + m.pairs[2].right + m.pairs[0].left",
    ),
    Row(
        "gaps of keys are zero wherever they are made",
        7,
        "key = Outer(number=1, second=Pair(left=2))\nself.gaps[key] = 3\nother = Outer(second=Pair(left=2))\n"
        "other.number = ctx.u8(1)\nself.gaps[other] += 4\nself.out[0] = self.gaps.lookup(key) or 0",
        methods="gaps = HashMap(key=Outer, value=u64, max_entries=4)",
    ),
    # maps
    Row(
        "elements begin at zero for every operator",
        101,
        "self.counts[1] -= 5\nself.counts[1] += 6\nself.counts[2] |= 4\nself.counts[2] ^= ctx.u8(4)\n"
        "self.counts[3] = 10\nself.counts[3] *= 10\na = self.counts.lookup(1)\nb = self.counts.lookup(2)\n"
        "c = self.counts.lookup(3)\nself.out[0] = 0 if a is None or b is None or c is None else a + b + c",
    ),
    Row(
        "large constants in every position",
        3,
        "big = 0x1_2345_6789\nself.out[1] = big\nx = ctx.u8(0) + big\nself.out[0] = (x == big) + (x - big < big) + "
        "(1 if min(x, 1 << 63) == big else 0)",
    ),
    Row("a negative constant stored as 64 bits", -5, "self.out[0] = -5"),
    Row("the largest constant stored", MASK, "self.out[0] = (1 << 64) - 1"),
]

"""Programs from text: a few statements of the language, compiled and run in the kernel on a packet."""

from __future__ import annotations

import itertools
import linecache
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pybpf.vm import run_in_vm

_NUMBERS = itertools.count(1)

PACKET = bytes(14) + bytes(range(64))
"""Byte n of the packet, as a socket filter counts after the Ethernet header, is n."""

MODULE = """from __future__ import annotations
from pybpf.hooks.socket_filter import socket_filter
from pybpf.lang import *
from pybpf.maps import Array, HashMap, LruHashMap, PerCpuArray, RingBuffer
from pybpf.object import BpfObject

class Pair(Struct):
    left: u32
    right: u32

class Mixed(Struct):
    small: s8
    half: s16
    word: s32
    wide: s64
    flag: bool
    byte: u8
    pairs: list[Pair] = array(Pair, 4)
    bytes: list[int] = array(u8, 8)

class Outer(Struct):
    number: u8
    first: Pair
    second: Pair

class Wire(Struct, packed=True):
    kind: u8
    wide: u64
    port: u16be
    word: s32
    pair: Pair

{functions}

class Program(BpfObject):
    out = Array(value=u64, max_entries=16)
    inputs = Array(value=u64, max_entries=16)
    counts = HashMap(key=u32, value=u64, max_entries=16)
    pairs = HashMap(key=u32, value=Pair, max_entries=16)
    mixed = Array(value=Mixed, max_entries=4)
    per_cpu = PerCpuArray(value=u64, max_entries=4)
    ring = RingBuffer(4096)

{methods}
    @socket_filter
    def program(self, ctx: SkBuff) -> int:
{statements}
"""


@dataclass(frozen=True)
class Outcome:
    """What a program left: its 32-bit result and the array ``out`` (16 elements of 64 bits)."""

    result: int
    out: tuple[int, ...]


@contextmanager
def module_of(text: str) -> Iterator[ModuleType]:
    """A module made of ``text``, whose source inspect and linecache find; it is forgotten at the end."""
    name = f"snippet_{next(_NUMBERS)}"
    file = f"<{name}>"
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    try:
        exec(compile(text, file, "exec"), module.__dict__)
        yield module
    finally:
        del sys.modules[name], linecache.cache[file]


def text_of(statements: str, functions: str = "", methods: str = "") -> str:
    """The module around ``statements``; ``functions`` stand outside of the class, ``methods`` in it."""
    return MODULE.format(
        functions=textwrap.dedent(functions),
        methods=textwrap.indent(textwrap.dedent(methods), "    "),
        statements=textwrap.indent(textwrap.dedent(statements).strip("\n"), "        "),
    )


def compiled(statements: str, functions: str = "", methods: str = "") -> Any:
    """The compiled program, a ProgramSpec."""
    with module_of(text_of(statements, functions, methods)) as module:
        return module.Program().compile()["program"]


def run_in_python(
    statements: str, functions: str = "", methods: str = "", *, packet: bytes = PACKET, inputs: Sequence[int] = ()
) -> Outcome:
    """Run the program once in the virtual machine, without privilege."""
    with module_of(text_of(statements, functions, methods)) as module:
        program = run_in_vm(module.Program())
        for index, value in enumerate(inputs):
            program.inputs[index] = value
        result = program.program(packet)
        return Outcome(result, tuple(program.out[index] for index in range(16)))


def run(
    statements: str, functions: str = "", methods: str = "", *, packet: bytes = PACKET, inputs: Sequence[int] = ()
) -> Outcome:
    """Load the program and run it once in the kernel; ``inputs`` are the first elements of the array ``inputs``."""
    with module_of(text_of(statements, functions, methods)) as module, module.Program().load() as program:
        for index, value in enumerate(inputs):
            program.inputs[index] = value
        result = program.program.test_run(packet).return_value
        return Outcome(result, tuple(program.out[index] for index in range(16)))

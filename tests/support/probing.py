"""What live tests of probes share: a library to probe, written byte by byte, and programs that count what they see."""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import pytest

from pybpf.asm import (
    R0,
    R1,
    R2,
    R6,
    R7,
    AtomicOp,
    Instruction,
    JumpOp,
    KfuncReference,
    Reference,
    Size,
    assemble,
    atomic,
    bind,
    call,
    call_kfunc,
    encode,
    exit_,
    jump,
    jump_if,
    load,
    load_map_value,
    mov,
    store,
)
from pybpf.btf import KernelBtf, Kind
from pybpf.kernel.constants import AttachType, MapType, ProgramType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.map_ops import map_create, map_lookup, map_update
from pybpf.kernel.prog_ops import prog_load
from pybpf.links import ProbeSide, UprobeMethod
from tests.support.elfwriter import Definition, write_elf

# offsetof(struct pt_regs, ...), arch/x86/include/uapi/asm/ptrace.h
AX, DI, IP = 80, 112, 128
GET_ATTACH_COOKIE = 174

# endbr64; push %rbp; mov %rsp,%rbp; lea 0x1(%rdi),%rax; pop %rbp; ret -- as GCC writes it with -fcf-protection
MARKED = bytes.fromhex("f30f1efa 55 4889e5 488d4701 5d c3")
# push %rbp; mov %rsp,%rbp; lea 0x2(%rdi),%rax; pop %rbp; ret
PLAIN = bytes.fromhex("55 4889e5 488d4702 5d c3")
# lea 0x3(%rdi),%rax; ret
STEPPED = bytes.fromhex("488d4703 c3")
# repeat(function, n): calls function(n), function(n - 1) ... function(1)
REPEAT = bytes.fromhex("53 4154 55 4989fc 4889f3 4889df 41ffd4 48ffcb 75f5 5d 415c 5b c3")

needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 machine: it runs such code")


class ProbedLibrary:
    """A shared library of three little functions, mapped into this process; each adds 1, 2 or 3 to its argument."""

    adds: ClassVar[dict[str, int]] = {"marked": 1, "plain": 2, "stepped": 3}

    def __init__(self, path: Path) -> None:
        self.path = path
        code = {"marked": MARKED, "plain": PLAIN, "stepped": STEPPED, "repeat": REPEAT}
        path.write_bytes(write_elf([Definition(name, data) for name, data in code.items()], hashes=("gnu", "sysv")))
        self._library = ctypes.CDLL(str(path))
        self._library.repeat.restype = ctypes.c_long

    def call(self, name: str, argument: int) -> int:
        """Call a function once."""
        function = self._library[name]
        function.restype = ctypes.c_long
        return int(function(ctypes.c_long(argument)))

    def repeat(self, name: str, count: int) -> int:
        """Call a function ``count`` times in a machine-code loop, down to argument 1; its last result."""
        return int(self._library.repeat(ctypes.cast(self._library[name], ctypes.c_void_p), ctypes.c_long(count)))


@dataclass(frozen=True)
class Counts:
    """What the counting programs saw: hits at entry and return; of the last hits the argument, result and cookies."""

    entries: int
    argument: int
    entry_cookie: int
    address: int
    returns: int
    result: int
    return_cookie: int


class CountingPrograms:
    """Loads entry, return and session programs that count into one array; a loader for ``attach_uprobe``."""

    def __init__(self, *, cookies: bool = True) -> None:
        self.cookies = cookies
        self.asked: list[tuple[UprobeMethod, ProbeSide]] = []
        self._map = map_create(MapType.ARRAY, 4, 64, 1, name="counts")
        self._programs: list[OwnedFd] = []

    def __call__(self, method: UprobeMethod, side: ProbeSide) -> OwnedFd:
        self.asked.append((method, side))
        return self.load(side, method.attach_type)

    def load(self, side: ProbeSide, attach_type: AttachType = AttachType.NONE) -> OwnedFd:
        """One program, kept until close()."""
        body = {
            ProbeSide.ENTRY: [*self._begin(), *self._entry()],
            ProbeSide.RETURN: [*self._begin(), *self._return()],
            ProbeSide.BOTH: [*self._begin(), *self._session()],
        }[side]
        program = bind(assemble([*body, mov(R0, 0), exit_()]), self._resolve)
        name = side.name.lower()
        loaded = prog_load(ProgramType.KPROBE, encode(program), name=name, expected_attach_type=attach_type)
        self._programs.append(loaded)
        return loaded

    def counts(self) -> Counts:
        """What was seen since the last reset."""
        value = map_lookup(self._map, bytes(4), 64)
        assert value is not None
        return Counts(*struct.unpack_from("=7Q", value))

    def reset(self) -> None:
        """Back to zeros."""
        map_update(self._map, bytes(4), bytes(64))

    def close(self) -> None:
        """Give up programs and map."""
        for fd in (*self._programs, self._map):
            fd.close()

    def __enter__(self) -> CountingPrograms:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _resolve(self, reference: Reference) -> int:
        if isinstance(reference, KfuncReference):
            return KernelBtf.load().require(reference.name, Kind.FUNC)
        return self._map.fileno()

    def _begin(self) -> list[Instruction]:
        cookie = [call(GET_ATTACH_COOKIE), mov(R7, R0)] if self.cookies else [mov(R7, 0)]
        return [mov(R6, R1), *cookie]

    def _entry(self) -> list[Instruction]:
        return [
            load_map_value(R2, "counts"),
            mov(R1, 1),
            atomic(AtomicOp.ADD, Size.DW, R2, 0, R1),
            load(Size.DW, R1, R6, DI),
            store(Size.DW, R2, 8, R1),
            store(Size.DW, R2, 16, R7),
            load(Size.DW, R1, R6, IP),
            store(Size.DW, R2, 24, R1),
        ]

    def _return(self) -> list[Instruction]:
        return [
            load_map_value(R2, "counts"),
            mov(R1, 1),
            atomic(AtomicOp.ADD, Size.DW, R2, 32, R1),
            load(Size.DW, R1, R6, AX),
            store(Size.DW, R2, 40, R1),
            store(Size.DW, R2, 48, R7),
        ]

    def _session(self) -> Sequence[Instruction]:
        back, end = self._return(), mov(R0, 0).labelled("end")
        # Kernels after 6.18 give the kfunc a parameter, ctx; those before ignore the register.
        asked = [mov(R1, R6), call_kfunc("bpf_session_is_return"), jump_if(JumpOp.NE, R0, 0, "return", bits=32)]
        return [*asked, *self._entry(), jump("end"), back[0].labelled("return"), *back[1:], end]

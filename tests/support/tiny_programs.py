"""Programs of a few instructions for tests of the kernel's door, of maps and of links."""

from __future__ import annotations

import ctypes
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R10,
    AtomicOp,
    Instruction,
    JumpOp,
    Size,
    add,
    assemble,
    atomic,
    call,
    encode,
    exit_,
    jump_if,
    load,
    load_imm64,
    load_map_fd,
    mov,
    store,
)

LOOKUP, PERF_OUTPUT, RING_RESERVE, RING_SUBMIT, RING_DISCARD, ATTACH_COOKIE = 1, 25, 131, 132, 133, 174
PACKET = bytes(64)


def return_value(value: int = 0) -> bytes:
    return encode(assemble([mov(R0, value), exit_()]))


def add_to(map_fd: int, index: int, amount: Instruction) -> list[Instruction]:
    """Add what ``amount`` leaves in R6 to element ``index`` of an array of u64; labels are unique by index."""
    out = f"no element {index}"
    return [
        amount,
        store(Size.W, R10, -4, index),
        load_map_fd(R1, map_fd),
        mov(R2, R10),
        add(R2, -4),
        call(LOOKUP),
        jump_if(JumpOp.EQ, R0, 0, out),
        atomic(AtomicOp.ADD, Size.DW, R0, 0, R6),
        mov(R0, 0).labelled(out),
    ]


def count_into(map_fd: int, index: int = 0) -> bytes:
    """Add 1 to an element of an array of u64."""
    return encode(assemble([*add_to(map_fd, index, mov(R6, 1)), exit_()]))


def cookie_into(map_fd: int, index: int = 0) -> bytes:
    """Add the attach cookie to an element of an array of u64."""
    return encode(assemble([call(ATTACH_COOKIE), *add_to(map_fd, index, mov(R6, R0)), exit_()]))


def fill_ring(
    ring_fd: int, lost_fd: int, count: int, *, size: int = 16, flags: int = 0, discard: bool = False
) -> bytes:
    """Submit ``count`` records of ``size`` bytes, a running number first; count those that found no room.

    The running number goes on from element 1 of the array ``lost_fd``; element 0 counts the lost.
    """
    return encode(
        assemble(
            [
                store(Size.W, R10, -4, 1),
                load_map_fd(R1, lost_fd),
                mov(R2, R10),
                add(R2, -4),
                call(LOOKUP),
                jump_if(JumpOp.EQ, R0, 0, "out"),
                mov(R7, R0),
                mov(R6, 0),
                mov(R1, 1).labelled("loop"),
                atomic(AtomicOp.ADD, Size.DW, R7, 0, R1, fetch=True),
                store(Size.DW, R10, -16, R1),
                load_map_fd(R1, ring_fd),
                mov(R2, size),
                mov(R3, 0),
                call(RING_RESERVE),
                jump_if(JumpOp.EQ, R0, 0, "full"),
                load(Size.DW, R1, R10, -16),
                store(Size.DW, R0, 0, R1),
                mov(R1, R0),
                mov(R2, flags),
                call(RING_DISCARD if discard else RING_SUBMIT),
                jump_if(JumpOp.NE, R10, 0, "next"),
                store(Size.W, R10, -4, 0).labelled("full"),
                load_map_fd(R1, lost_fd),
                mov(R2, R10),
                add(R2, -4),
                call(LOOKUP),
                jump_if(JumpOp.EQ, R0, 0, "out"),
                mov(R1, 1),
                atomic(AtomicOp.ADD, Size.DW, R0, 0, R1),
                add(R6, 1).labelled("next"),
                jump_if(JumpOp.LT, R6, count, "loop"),
                mov(R0, 0).labelled("out"),
                exit_(),
            ]
        )
    )


def perf_output(map_fd: int, text: bytes) -> bytes:
    """Send 8 bytes of ``text`` to this CPU's perf ring."""
    number = int.from_bytes(text.ljust(8, b"\0")[:8], "little")
    return encode(
        assemble(
            [
                load_imm64(R6, number),
                store(Size.DW, R10, -8, R6),
                load_map_fd(R2, map_fd),
                load_imm64(R3, 0xFFFFFFFF),
                mov(R4, R10),
                add(R4, -8),
                mov(R5, 8),
                call(PERF_OUTPUT),
                exit_(),
            ]
        )
    )


@dataclass(frozen=True)
class Target:
    """A function of a library that only this test has mapped, and its place in the file."""

    path: Path
    offset: int
    function: Any

    def __call__(self) -> None:
        self.function(0)


def own_target(directory: Path, symbol: str = "ilogb") -> Target:
    """A copy of the maths library, so that no other process runs the probed function."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        paths = {line.split()[-1] for line in maps if "/libm.so" in line or "/libm-" in line}
    source = paths.pop() if paths else _find_libm()
    copy = directory / "libtarget.so"
    shutil.copy(source, copy)
    with copy.open("rb") as file:
        elf = ELFFile(file)
        section: Any = elf.get_section_by_name(".dynsym")
        found = section.get_symbol_by_name(symbol)[0]
        offset = next(elf.address_offsets(found["st_value"]))
    return Target(copy, offset, getattr(ctypes.CDLL(str(copy), mode=os.RTLD_LOCAL), symbol))


def _find_libm() -> str:
    ctypes.CDLL("libm.so.6")
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return next(line.split()[-1] for line in maps if "/libm.so" in line or "/libm-" in line)

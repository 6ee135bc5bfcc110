"""A program's steps as text, one line each: what ran and what it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from pybpf.asm import Instruction, format_instruction

if TYPE_CHECKING:
    from pybpf.vm.templates import Registers


def trace_lines(write: Callable[[str], object], *, every_register: bool = False) -> Callable[..., None]:
    """An observer for :meth:`Machine.run` that gives ``write`` a line after each instruction.

    A line has the slot, the instruction, and the registers it changed, or all that have been written.
    """
    before: list[int | None] = [None] * 11

    def observe(slot: int, ins: Instruction, registers: Registers) -> None:
        shown = [
            f"r{number}={value:#x}"
            for number, value in enumerate(registers)
            if value is not None and (every_register or value != before[number])
        ]
        before[:] = registers
        write(f"{slot:4}: {format_instruction(ins):<40} {' '.join(shown)}".rstrip())

    return observe

"""One program on one piece of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from pybpf.vm.machine import INSTRUCTION_LIMIT, Machine, Program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pybpf.asm import Instruction
    from pybpf.vm.machine import Helper
    from pybpf.vm.templates import Registers


def run(
    program: Program,
    memory: bytes | bytearray = b"",
    *,
    helpers: Mapping[int, Helper] | None = None,
    instruction_limit: int = INSTRUCTION_LIMIT,
    observer: Callable[[int, Instruction, Registers], None] | None = None,
) -> int:
    """Run a program with r1 = ``memory`` (0 when it is empty) and r2 = its length: r0, without sign.

    What the program writes shows in a bytearray; bytes are copied first.

    Raises:
        VmFault: these are no instructions, or the program did what it may not.
    """
    machine = Machine(program, helpers=helpers, instruction_limit=instruction_limit)
    data = memory if isinstance(memory, bytearray) else bytearray(memory)
    address = machine.memory.add(data, "memory").address if data else 0
    return machine.run(address, len(data), observer=observer)

"""A tail call goes on as another program, with its context and nothing else."""

from __future__ import annotations

import pytest

from pybpf.asm import R0, R1, R2, R3, R6, Instruction, Size, add, call, call_function, exit_, load, load_map, mov, store
from pybpf.maps import ProgramArray
from pybpf.vm import FaultKind, Machine, Memory, VmFault, vm_map

CALL = [load_map(R2, "jumps"), mov(R3, 1), call(12), mov(R0, 7), exit_()]
COUNT = [load(Size.DW, R6, R1), add(R6, 1), store(Size.DW, R1, 0, R6)]


def machines(*programs: list[Instruction]) -> list[Machine]:
    """Machines with one memory and one program array, in which each has the index of its place."""
    memory = Memory()
    jumps = vm_map(ProgramArray(max_entries=8), memory, name="jumps")
    found = [Machine(program, memory=memory, maps={"jumps": jumps}) for program in programs]
    for index, machine in enumerate(found):
        jumps.update(index, machine)  # type: ignore[attr-defined]
    return found


def test_the_other_program_gives_the_result() -> None:
    first, _ = machines([mov(R6, 3), *CALL], [load(Size.B, R0, R1), exit_()])
    assert first.run(first.memory.add(b"\x2a", "context").address) == 42


def test_nothing_of_the_first_program_is_left() -> None:
    first, _ = machines([mov(R6, 3), *CALL], [mov(R0, R6), exit_()])
    with pytest.raises(VmFault) as caught:
        first.run(first.memory.add(b"\x2a", "context").address)
    assert caught.value.kind is FaultKind.UNINITIALISED_REGISTER


def test_an_empty_index_falls_through() -> None:
    (only,) = machines([mov(R1, 0), *CALL])
    assert only.run() == 7


def test_there_are_33_of_them() -> None:
    counter = bytearray(8)
    _, second = machines([mov(R0, 0), exit_()], [*COUNT, *CALL])
    assert second.run(second.memory.add(counter, "context").address) == 7
    assert int.from_bytes(counter, "little") == 34


def test_from_a_function_it_is_a_fault() -> None:
    first, _ = machines([call_function("f"), exit_(), CALL[0].labelled("f"), *CALL[1:]], [mov(R0, 0), exit_()])
    with pytest.raises(VmFault) as caught:
        first.run(0)
    assert caught.value.kind is FaultKind.BAD_CALL


def test_a_program_of_another_memory_is_refused() -> None:
    first, _ = machines([mov(R0, 0), exit_()], [mov(R0, 0), exit_()])
    with pytest.raises(ValueError, match="memory of map jumps"):
        first.maps["jumps"].update(0, Machine([mov(R0, 0), exit_()]))  # type: ignore[attr-defined]

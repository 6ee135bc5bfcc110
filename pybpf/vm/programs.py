"""Program arrays in Python, and the tail calls that go through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from pybpf.vm.maps import VmMap

if TYPE_CHECKING:
    from pybpf.vm.machine import Machine
    from pybpf.vm.memory import Memory

MAX_TAIL_CALLS = 33
"""MAX_TAIL_CALL_CNT."""


class HasMachine(Protocol):
    """A program of an object."""

    machine: Machine


class TailCall(Exception):
    """The program goes on as another one."""

    def __init__(self, target: Machine, context: int) -> None:
        self.target = target
        self.context = context
        super().__init__(target, context)


class VmPrograms(VmMap):
    """Programs by index; an index may be empty. All of them have to share the memory of the array."""

    def __init__(self, memory: Memory, name: str, max_entries: int) -> None:
        super().__init__(memory, name)
        self.max_entries = max_entries
        self._machines: dict[int, Machine] = {}

    def update(self, index: int, program: HasMachine | Machine) -> None:
        """Put a program in; replaces the one there.

        Raises:
            IndexError: there is no such index.
            ValueError: it does not share this array's memory.
        """
        machine = cast("Machine", getattr(program, "machine", None) or program)
        if not 0 <= index < self.max_entries:
            raise IndexError(index)
        if machine.memory is not self.memory:
            raise ValueError(f"the program does not run in the memory of map {self.name}")
        self._machines[index] = machine

    def target(self, index: int) -> Machine | None:
        """The program at ``index``, None when there is none."""
        return self._machines.get(index)

    def delete(self, index: int) -> bool:
        """Take the program at ``index`` out; False when there was none."""
        return self._machines.pop(index, None) is not None

    def __setitem__(self, index: int, program: HasMachine | Machine) -> None:
        self.update(index, program)

    def __delitem__(self, index: int) -> None:
        if not self.delete(index):
            raise KeyError(index)

    def __contains__(self, index: int) -> bool:
        return index in self._machines

"""Calls and returns: a frame has 512 bytes of stack of its own, and r6 to r9 of the caller outlive it."""

from __future__ import annotations

from dataclasses import dataclass

from pybpf.vm.fault import FaultKind, Trap
from pybpf.vm.memory import STACK, Memory, Region
from pybpf.vm.templates import UNSET, Registers

STACK_SIZE = 512
MAX_FRAMES = 8
"""MAX_CALL_FRAMES of the verifier."""

RETURN_TO_HELPER = -2
"""Where a function that a helper called back returns to."""


class Finished(Exception):
    """The outermost function, or one called by a helper, returned."""


@dataclass(frozen=True)
class _Caller:
    slot: int
    kept: list[int]
    stack: Region


class Frames:
    """The stack of calls of one run. ``budget`` counts what is left of may_goto, one number for each frame."""

    def __init__(self, memory: Memory, may_goto_budget: int) -> None:
        self.budget: list[int] = []
        self._memory = memory
        self._may_goto_budget = may_goto_budget
        self._callers: list[_Caller] = []
        self._stack: Region | None = None

    @property
    def depth(self) -> int:
        """How many functions wait for another one to return."""
        return len(self._callers)

    def enter(self) -> Registers:
        """The registers of the outermost function, none of them written but r10."""
        registers = [UNSET] * 11
        registers[10] = self._new_stack()
        return registers

    def call(self, registers: Registers, after: int) -> None:
        """Begin a function that returns to slot ``after``."""
        if len(self.budget) == MAX_FRAMES:
            raise Trap(FaultKind.CALL_DEPTH)
        assert self._stack is not None
        self._callers.append(_Caller(after, registers[6:11], self._stack))
        registers[0] = UNSET
        registers[6:10] = [UNSET] * 4
        registers[10] = self._new_stack()

    def exit(self, registers: Registers) -> int:
        """End a function: the slot to go on at. Raises Finished where no function of the program goes on."""
        registers[0] + 0  # a result never written is a fault
        if not self._callers:
            raise Finished
        caller = self._callers.pop()
        self._drop_stack()
        self._stack = caller.stack
        registers[1:6] = [UNSET] * 5
        registers[6:11] = caller.kept
        if caller.slot == RETURN_TO_HELPER:
            raise Finished
        return caller.slot

    def leave(self) -> None:
        """End the run, wherever it was."""
        while self._stack is not None:
            self._drop_stack()
            self._stack = self._callers.pop().stack if self._callers else None

    def _new_stack(self) -> int:
        self._stack = self._memory.add(bytearray(STACK_SIZE), STACK)
        self.budget.append(self._may_goto_budget)
        return self._stack.end

    def _drop_stack(self) -> None:
        assert self._stack is not None
        self._memory.remove(self._stack)
        self.budget.pop()

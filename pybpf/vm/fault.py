"""What can go wrong while a program runs here: one exception, with data."""

from __future__ import annotations

from enum import Enum

from pybpf.errors import PybpfError


class FaultKind(Enum):
    """Why a program was stopped; the value says it in words."""

    NOT_A_PROGRAM = "the program cannot be decoded"
    UNKNOWN_OPCODE = "this operation cannot run here"
    BAD_REGISTER = "this register cannot be used so"
    UNINITIALISED_REGISTER = "a register is read before it was written"
    BAD_JUMP = "a jump leads out of the program or into the middle of an instruction"
    FELL_OFF = "the program runs past its last instruction"
    NULL_POINTER = "null is not memory"
    OUT_OF_BOUNDS = "an access leaves its memory"
    UNMAPPED = "there is no memory at this address"
    READ_ONLY = "this memory cannot be written"
    UNALIGNED = "an access is not aligned to its size"
    STACK_OVERFLOW = "the stack has 512 bytes a frame"
    CALL_DEPTH = "functions call each other more than 8 deep"
    UNKNOWN_HELPER = "there is no such helper"
    UNKNOWN_MAP = "there is no such map"
    BAD_CALL = "this is no function of the program"
    BAD_ARGUMENT = "a helper cannot take this argument"
    HELPER_FAILED = "a helper of the table raised an exception"
    UNRELEASED = "the program ends with a reserved record it neither submitted nor discarded"
    INSTRUCTION_LIMIT = "the program took more instructions than it may"


class VmFault(PybpfError):
    """The program did what it may not.

    Attributes: ``kind``, ``detail`` (words, may be empty), ``slot`` (of the instruction, in units of 8 bytes),
    ``instruction`` (its text, empty when there is none), ``address`` (the memory wanted, or None), ``registers`` (r0 to
    r10 at that point, None for those never written).
    """

    def __init__(
        self,
        kind: FaultKind,
        detail: str = "",
        *,
        slot: int = 0,
        instruction: str = "",
        address: int | None = None,
        registers: tuple[int | None, ...] = (),
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.slot = slot
        self.instruction = instruction
        self.address = address
        self.registers = registers
        super().__init__(kind, detail, slot)

    def __str__(self) -> str:
        text = f"instruction {self.slot}"
        if self.instruction:
            text += f" ({self.instruction})"
        text += f": {self.kind.value}"
        return f"{text}: {self.detail}" if self.detail else text


class Trap(Exception):
    """A fault on its way to the place that knows the instruction and the registers."""

    def __init__(self, kind: FaultKind, detail: str = "", address: int | None = None) -> None:
        self.kind = kind
        self.detail = detail
        self.address = address
        super().__init__(kind, detail)

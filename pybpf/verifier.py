"""A rejected program as an error on a Python line."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pybpf.asm import SourceLine, slot_offsets
from pybpf.errors import ProgramRejected, PybpfError
from pybpf.verifier_log import VerifierLog, parse_log

if TYPE_CHECKING:
    from pybpf.asm import Instruction

_ADVICE = (
    (r"_or_null'", "test it against None before using it"),
    (r"!read_ok", "a value is read that is not set on every path to this line"),
    (r"back-edge|infinite loop|sequence of \d+ jumps is too complex", "give the loop a bound: for i in range(N)"),
    (
        r"too large|too many states|program is too complex",
        "make it shorter, or its loops; the verifier walks each path",
    ),
    (r"invalid access to packet", "compare the offset with the packet's length before this access"),
    (
        r"invalid access to map value|unbounded min value|unbounded memory access",
        "compare the index with the array's length before this access, or mask it: table[i & 7]",
    ),
    (
        r"combined stack size|stack depth|invalid (?:indirect )?(?:read|write|access).* stack",
        "programs have 512 bytes of stack: keep large data in a map",
    ),
    (r"Unreleased reference", "submit or discard what was reserved, on every path"),
    (
        r"unknown func|invalid func|program of this type cannot use helper",
        "this kernel or program type lacks the helper",
    ),
    (r"cannot call GPL-restricted", "load the program with a GPL-compatible license"),
)


class VerifierError(PybpfError):
    """The kernel's verifier rejected a program.

    Attributes: ``program`` (its name), ``reason`` (the kernel's words), ``log`` (all it wrote), ``source`` (the line of
    Python, or None), ``registers`` (at the rejected instruction; stack slots as ``fp-8``), ``instruction`` (its slot in
    units of 8 bytes, or None), ``text`` (the instruction), ``advice`` (what to do, may be empty) and ``truncated``
    (the log lacks a part).
    """

    def __init__(
        self,
        program: str,
        reason: str,
        log: str,
        source: SourceLine | None = None,
        registers: Mapping[str, str] | None = None,
        instruction: int | None = None,
        *,
        text: str = "",
        advice: str = "",
        truncated: bool = False,
    ) -> None:
        self.program = program
        self.reason = reason
        self.log = log
        self.source = source
        self.registers = dict(registers or {})
        self.instruction = instruction
        self.text = text
        self.advice = advice
        self.truncated = truncated
        super().__init__(program, reason, log, source, self.registers, instruction)

    @classmethod
    def from_rejection(
        cls, rejected: ProgramRejected, program: str, instructions: Sequence[Instruction] = ()
    ) -> VerifierError:
        """From what ``prog_load`` raised; ``instructions`` are those that were loaded, with their sources."""
        found = parse_log(rejected.log)
        return cls(
            program,
            found.reason or "no reason given",
            rejected.log,
            source_of(found, instructions),
            found.registers,
            found.instruction,
            text=found.text or _text_at(instructions, found.instruction),
            advice=found.suggestion or advice_for(found.reason),
            truncated=rejected.truncated,
        )

    def __str__(self) -> str:
        lines = [f"the verifier rejected {self.program}: {self.reason}"]
        if self.source is not None:
            lines.append(f'  File "{self.source.file}", line {self.source.line}')
            if self.source.text.strip():
                lines.append(f"    {self.source.text.strip()}")
        if self.instruction is not None:
            lines.append(f"  at instruction {self.instruction}: {self.text}".rstrip(": "))
        shown = self._registers_shown()
        if shown:
            lines.append("  with " + ", ".join(f"{name}={value}" for name, value in shown.items()))
        if self.advice:
            lines.append(f"  {self.advice}")
        count = len(self.log.splitlines())
        cut = ", cut" if self.truncated else ""
        lines.append(f"  the verifier's whole log ({count} lines{cut}) is in the attribute .log of this exception")
        return "\n".join(lines)

    def _registers_shown(self) -> dict[str, str]:
        """The registers that the instruction or the reason names; all when neither names one."""
        named = {f"R{number}" for number in re.findall(r"\b[rwR](\d+)\b", f"{self.text} {self.reason}")}
        return {name: value for name, value in self.registers.items() if name in named} or self.registers


def advice_for(reason: str) -> str:
    """What to do about a reason of the verifier, in terms of a Python program; empty when nothing is known."""
    for pattern, advice in _ADVICE:
        if re.search(pattern, reason):
            return advice
    return ""


def source_of(found: VerifierLog, instructions: Sequence[Instruction]) -> SourceLine | None:
    """The Python line of the rejected instruction: from the instructions, else from what the log quotes."""
    instruction = _at(instructions, found.instruction)
    if instruction is not None and instruction.source is not None:
        return instruction.source
    if found.file is not None and found.line is not None:
        return SourceLine(file=found.file, line=found.line, text=found.source_text)
    return None


def _at(instructions: Sequence[Instruction], slot: int | None) -> Instruction | None:
    if slot is None or not instructions:
        return None
    index = bisect_right(slot_offsets(instructions), slot) - 1
    return instructions[index]


def _text_at(instructions: Sequence[Instruction], slot: int | None) -> str:
    instruction = _at(instructions, slot)
    return str(instruction) if instruction is not None else ""

"""The verifier's log, read: where it stopped, why, and what the registers held there.

The log is no stable interface, so the reader takes what it recognises and leaves the rest. Three layouts are known:
states on lines of their own (before 5.18), states as comments of the instructions (since), and from 7.3 a report with
headed sections after the classic lines (commit ce7c9f6c599b). Source lines carry a file and line from 6.8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_INSTRUCTION = re.compile(
    r"^\s*(\d+): \([0-9a-f]{2}\) (.*?)\s*(?:(?:;| \d+:)\s*(?P<state>(?:frame\d+: )?(?:R\d|fp-|refs=)\S*=.*))?$"
)
_STATE = re.compile(
    r"^\s*(?:(?:from \d+ to )?\d+(?: \(speculative execution\))?:)?\s*(?:frame\d+:)?\s*"
    r"(?P<state>(?:R\d+|fp-\d+)[^=\s]*=.*)$"
)
_SOURCE = re.compile(r"^; (.*?)(?: @ (.+?):(\d+))?$")
_STATISTICS = re.compile(
    r"^(processed \d+ insns|verification time|stack depth|insns processed|func#\d+ @|mark_precise:|last_idx |"
    r"regs=|parent |from \d+ to \d+.*: safe|caller:|callee:|returning from callee:|to caller at|\d+: safe|"
    r"max_states_per_insn|cur state:|old state:)"
)
_AT_INSTRUCTION = re.compile(r"\binsn (?:idx )?(\d+)")
_REPORT = re.compile(r"^Verification failed: (.*)$")
_SECTION = re.compile(r"^([A-Z][A-Za-z ]+):$")
LAST_LINES = 10_000
"""Lines read of a log, which may have a million: reading all of them would take seconds."""

_CALL = re.compile(r"^call ")
_SUFFIX = re.compile(r"_[rwD]+$")


@dataclass(frozen=True)
class VerifierLog:
    """What a log says of the rejection; every part that was not found is None or empty.

    ``instruction`` is the slot (8 bytes each, ``ld_imm64`` takes two) and ``text`` the verifier's rendering of it;
    ``reason`` the kernel's words; ``explanation`` and ``suggestion`` come with 7.3's report. ``registers`` holds
    registers and stack slots (``R1``, ``fp-8``). ``file``, ``line`` and ``source_text`` are from the BTF line info.
    """

    reason: str
    instruction: int | None = None
    text: str = ""
    explanation: str = ""
    suggestion: str = ""
    registers: dict[str, str] = field(default_factory=dict)
    file: str | None = None
    line: int | None = None
    source_text: str = ""


def parse_log(log: str) -> VerifierLog:
    """Read a log of any length and layout; never raises. Of a long one only the end, where the rejection is."""
    reader = _Reader()
    lines = log.splitlines()[-LAST_LINES:]
    for number, line in enumerate(lines):
        report = _REPORT.match(line)
        if report:
            return reader.finish(report.group(1), _sections(lines[number + 1 :]))
        reader.take(line)
    return reader.finish("", {})


class _Reader:
    """The state of a walk over the classic part of a log."""

    def __init__(self) -> None:
        self.instruction: int | None = None
        self.text = ""
        self.registers: dict[str, str] = {}
        self.source: tuple[str, str | None, int | None] = ("", None, None)
        self.words: list[str] = []

    def take(self, line: str) -> None:
        match = _INSTRUCTION.match(line)
        if match:
            self._instruction(int(match.group(1)), match.group(2), match.group("state"))
            return
        match = _STATE.match(line)
        if match:
            if "R10=" in line or "R10_" in line:
                self.registers = {}
            self.registers.update(split_state(match.group("state")))
            return
        match = _SOURCE.match(line)
        if match:
            text, file, number = match.groups()
            self.source = (text, file, int(number) if number else None)
            self.words = []
        elif line.strip() and not _STATISTICS.match(line):
            self.words.append(line.strip())

    def _instruction(self, slot: int, text: str, state: str | None) -> None:
        self.instruction, self.text, self.words = slot, text, []
        if _CALL.match(text):
            # A call leaves nothing in the argument registers.
            for register in ("R1", "R2", "R3", "R4", "R5"):
                self.registers.pop(register, None)
        if state:
            self.registers.update(split_state(re.sub(r"^frame\d+: ", "", state)))

    def finish(self, title: str, sections: dict[str, str]) -> VerifierLog:
        reason = "; ".join(self.words) or title
        named = _AT_INSTRUCTION.search(sections.get("At", "")) or _AT_INSTRUCTION.search(reason)
        instruction, text = self.instruction, self.text
        if named and int(named.group(1)) != instruction:
            instruction, text = int(named.group(1)), ""
        source_text, file, line = self.source if text or instruction is None else ("", None, None)
        return VerifierLog(
            reason=reason,
            instruction=instruction,
            text=text,
            explanation=sections.get("Reason", ""),
            suggestion=sections.get("Suggestion", ""),
            registers=self.registers,
            file=file,
            line=line,
            source_text=source_text,
        )


def split_state(text: str) -> dict[str, str]:
    """``R0_w=scalar(umax=3,var_off=(0x0; 0x3)) R10=fp0`` as {"R0": "scalar(...)", "R10": "fp0"}."""
    found: dict[str, str] = {}
    for token in _tokens(text):
        name, equals, value = token.partition("=")
        if equals and value and re.match(r"^(R\d+|fp-\d+|refs)", name):
            found[_SUFFIX.sub("", name)] = value
    return found


def _tokens(text: str) -> list[str]:
    """Split at blanks outside of parentheses."""
    tokens: list[str] = []
    depth, start = 0, 0
    for position, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth = max(0, depth - 1)
        elif character in " \t" and depth == 0:
            tokens.append(text[start:position])
            start = position + 1
    tokens.append(text[start:])
    return [token for token in tokens if token]


def _sections(lines: list[str]) -> dict[str, str]:
    """The headed sections of 7.3's report; a section's lines are indented and here joined by blanks."""
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        header = _SECTION.match(line)
        if header:
            current = sections.setdefault(header.group(1), [])
        elif _STATISTICS.match(line):
            current = None
        elif current is not None and line.strip():
            current.append(line.strip())
    return {name: " ".join(found) for name, found in sections.items()}

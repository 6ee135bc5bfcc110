"""Where in a function to set a probe: the cheapest site that is safe.

The probed instruction decides what a probe costs and whether it is safe. The kernel emulates some instructions
(0.5-0.7 us a hit); all others it steps out of line, 10-15 us in a virtual machine (measured on 6.18). Builds with CET
start every function with ``endbr64``, which is stepped; the ``push`` behind it is emulated, and the return address is
still on top of the stack there, so that even a return probe works at ``symbol+4``.

The planner walks the straight line of code from the symbol and stops where the probe would see or do something else:
at a write to memory, at a branch, where an argument register is lost, and, for return probes, where the stack pointer
moves.
It never chooses an instruction that a jump of the function leads back to, and never a 5-byte nop.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pybpf.elf.image import ElfImage, Machine
from pybpf.elf.symbols import Symbol, SymbolKind
from pybpf.elf.x86 import MAX_LENGTH, X86Instruction, decode
from pybpf.elf.x86_effects import (
    ARGUMENT_REGISTERS,
    branch_target,
    effects,
    is_emulated,
    is_endbr64,
    is_indirect_jump,
    is_nop,
    is_push,
    refusal,
)
from pybpf.elf.x86_text import text
from pybpf.errors import UnsafeProbeSite, UnsupportedFeature

_MAX_WALK = 64
"""Bytes behind the symbol in which a better site is looked for: later ones would miss too much of the call."""

_MAX_FUNCTION = 1 << 16


class CostClass(Enum):
    """What a hit of a probe costs, by how the kernel runs the probed instruction."""

    EMULATED = "emulated"
    SINGLE_STEPPED = "single-stepped"


@dataclass(frozen=True)
class ProbeSite:
    """A place for a probe in a function.

    ``address`` is the image's own, ``offset`` the file offset to attach to, both in bytes. ``code`` holds the bytes of
    the probed ``instruction`` (AT&T syntax). ``skipped`` is how far behind the symbol the site lies, ``stack_moved``
    how many bytes the stack pointer is below its value at the call. ``why`` says in words what decided.
    """

    symbol: str
    address: int
    offset: int
    cost: CostClass
    instruction: str
    code: bytes
    skipped: int
    stack_moved: int
    why: str


@dataclass(frozen=True)
class _Candidate:
    position: int
    instruction: X86Instruction
    skipped: tuple[X86Instruction, ...]
    stack_moved: int

    @property
    def emulated(self) -> bool:
        return is_emulated(self.instruction)


def plan_probe(image: ElfImage, symbol: str | Symbol, *, needs_return: bool = True, arguments: int = 6) -> ProbeSite:
    """The cheapest safe site for a probe on a function of an x86-64 image.

    ``needs_return``: a return probe goes to the same site, so the return address must be on top of the stack.
    ``arguments``: how many of the six integer argument registers the probe reads; the fewer, the more sites fit.

    Raises:
        SymbolNotFound: the image does not define it.
        UnsafeProbeSite: it is no function with code in the file, or every site near it is refused.
        UnsupportedFeature: code for another processor.
        ImageError: the file is damaged.
    """
    if not 0 <= arguments <= len(ARGUMENT_REGISTERS):
        raise ValueError(f"{arguments} arguments: only six integer arguments come in registers")
    if image.machine is not Machine.X86_64:
        raise UnsupportedFeature(f"probe sites in code for {image.machine.value}", tried=(image.path,))
    found = image.symbol(symbol) if isinstance(symbol, str) else symbol
    code = _function_code(image, found)
    candidates = _candidates(code, needs_return, frozenset(ARGUMENT_REGISTERS[:arguments]))
    back = _jumped_to(code, candidates[-1].position if candidates else 0)
    usable = [c for c in candidates if refusal(c.instruction) is None and _reached_once(c, back)]
    if not usable:
        first = decode(code)
        reason = "the instruction there is unknown"
        if first is not None:
            reason = refusal(first) or "no site is reached only once"
        raise UnsafeProbeSite(found.name, found.address, f"{reason}; no safe site follows", code[:MAX_LENGTH])
    chosen = next((c for c in usable if c.emulated), usable[0])
    address = found.address + chosen.position
    return ProbeSite(
        symbol=found.name,
        address=address,
        offset=image.file_offset(address),
        cost=CostClass.EMULATED if chosen.emulated else CostClass.SINGLE_STEPPED,
        instruction=text(chosen.instruction, address),
        code=chosen.instruction.code,
        skipped=chosen.position,
        stack_moved=chosen.stack_moved,
        why=_why(chosen, candidates, needs_return),
    )


def _function_code(image: ElfImage, symbol: Symbol) -> bytes:
    if symbol.kind is SymbolKind.INDIRECT_FUNCTION:
        reason = "an indirect function: the symbol is its resolver, the code that runs is chosen at load time"
        raise UnsafeProbeSite(symbol.name, symbol.address, reason)
    if symbol.kind not in (SymbolKind.FUNCTION, SymbolKind.NOTYPE) or not image.is_executable(symbol.address):
        raise UnsafeProbeSite(symbol.name, symbol.address, "not a function with code in this file")
    return image.read(symbol.address, min(symbol.size, _MAX_FUNCTION) if symbol.size else _MAX_WALK)


def _candidates(code: bytes, needs_return: bool, arguments: frozenset[int]) -> list[_Candidate]:
    """The sites of the straight line from the symbol, up to the first emulated one that is not refused."""
    found: list[_Candidate] = []
    skipped: list[X86Instruction] = []
    position = stack = 0
    while position < min(len(code), _MAX_WALK):
        instruction = decode(code, position)
        if instruction is None:
            break
        found.append(_Candidate(position, instruction, tuple(skipped), stack))
        if found[-1].emulated and refusal(instruction) is None:
            break
        change = effects(instruction)
        if change is None or change.written & arguments or (change.stack and needs_return):
            break
        stack += change.stack
        skipped.append(instruction)
        position += instruction.length
    return found


def _jumped_to(code: bytes, last: int) -> frozenset[int] | None:
    """The positions in 1..last that direct jumps of the function lead to; None if a jump table could lead anywhere.

    Only asked for when there is something to skip: it decodes the whole function.
    """
    targets = set()
    position = 0
    while last and position < len(code):
        instruction = decode(code, position)
        if instruction is None or is_indirect_jump(instruction):
            return None
        target = branch_target(instruction)
        if target is not None and 0 < position + target <= last:
            targets.add(position + target)
        position += instruction.length
    return frozenset(targets)


def _reached_once(candidate: _Candidate, back: frozenset[int] | None) -> bool:
    """Whether a call passes the site exactly once: nothing jumps to it or to what was skipped before it."""
    if candidate.position == 0:
        return True
    if back is None:
        # A label behind nothing but an entry marker and in front of a push is the prologue: no loop pushes each round.
        marks = all(is_endbr64(i) or is_nop(i) for i in candidate.skipped)
        return marks and is_push(candidate.instruction)
    return not any(0 < target <= candidate.position for target in back)


def _why(chosen: _Candidate, candidates: list[_Candidate], needs_return: bool) -> str:
    kind = "emulated by the kernel" if chosen.emulated else "stepped out of line"
    if chosen.position == 0:
        if chosen.emulated:
            return f"the first instruction is {kind}"
        limit = "before the return address is out of reach" if needs_return else "while the arguments are in registers"
        return f"the first instruction is {kind}, and no cheaper safe one follows {limit}"
    refused = refusal(candidates[0].instruction)
    first = f"the first instruction is {refused}" if refused else "the first instruction is stepped out of line"
    return f"{first}; this one is {kind} and still sees the call"

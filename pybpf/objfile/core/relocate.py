"""Relocations resolved against the kernel's types, and the instruction that carries the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pybpf.asm import Instruction, InstructionClass, OpCode, OperandSource, Size, call
from pybpf.btf import BtfError, Composite, Enumeration, Forward, Int, Kind, Typedef, size_of
from pybpf.objfile.btf_ext import CoreKind, CoreRelocation
from pybpf.objfile.core.access import local_access, target_access
from pybpf.objfile.core.match import essential, types_compatible, types_match
from pybpf.objfile.core.values import FieldValue, enum_value, field_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybpf.btf import Btf
    from pybpf.btf.types import Type

POISON = 0xBAD2310
"""No helper has this number: the verifier refuses it where the instruction can be reached, and only there."""

_SIZES = {1: Size.B, 2: Size.H, 4: Size.W, 8: Size.DW}


@dataclass(frozen=True)
class Outcome:
    """The answer; ``value`` None means that the kernel has nothing of the kind. ``question`` says it in words."""

    question: str
    value: int | None
    original: int | None = None
    size: int = 0
    fixed_size: bool = False


class CoreResolver:
    """Answers the relocations of one object; each question is asked of the kernel's types once.

    ``kernel`` gives the kernel's BTF when it is needed for the first time.
    """

    def __init__(self, btf: Btf, kernel: Callable[[], Btf]) -> None:
        self._btf = btf
        self._kernel = kernel
        self._answers: dict[tuple[int, str, CoreKind], Outcome] = {}
        self._candidates: dict[tuple[str, object], tuple[int, ...]] = {}

    def resolve(self, relocation: CoreRelocation) -> Outcome:
        """The answer.

        Raises:
            BtfError: the relocation is broken, or types of one name in the kernel give different answers.
            UnsupportedFeature: the kernel has no BTF.
        """
        key = (relocation.type_id, relocation.path, relocation.kind)
        if key not in self._answers:
            self._answers[key] = self._resolve(relocation)
        return self._answers[key]

    def _resolve(self, relocation: CoreRelocation) -> Outcome:
        kind, root = relocation.kind, relocation.type_id
        local = self._btf.type(root)
        name = _name_of(local)
        if kind is CoreKind.TYPE_ID_LOCAL:
            return Outcome(f"local type id of {name}", root)
        if not name:
            raise BtfError(f"{kind.name} is asked of a type without a name", root)
        if kind.of_field or kind.of_enum:
            return self._of_access(relocation, name, local)
        test = types_match if kind is CoreKind.TYPE_MATCHES else types_compatible
        kernel = self._kernel()
        found = [c for c in self._named(name, local) if test(self._btf, root, kernel, c)]
        question = f"{kind.name} of {name}"
        if kind is CoreKind.TYPE_ID_TARGET:
            answers = set(found)
        elif kind is CoreKind.TYPE_SIZE:
            answers = {size_of(kernel, c) for c in found}
        else:
            answers = {1} if found else set()
        return Outcome(question, _only(answers, question, root) if answers else 0)

    def _of_access(self, relocation: CoreRelocation, name: str, local: Type | None) -> Outcome:
        kind, kernel = relocation.kind, self._kernel()
        access = local_access(self._btf, relocation.type_id, relocation.path, of_enum=kind.of_enum)
        question = f"{kind.name} of {name}" + "".join(
            f".{step.name}" if step.name else f"[{step.index}]" for step in access.steps if step.name or step.index
        )
        matches = (target_access(self._btf, access, kernel, c) for c in self._named(name, local))
        found = [match for match in matches if match is not None]
        if kind in (CoreKind.FIELD_EXISTS, CoreKind.ENUMVAL_EXISTS):
            return Outcome(question, int(bool(found)), None if kind.of_enum else 1)
        if kind is CoreKind.ENUMVAL_VALUE:
            original = enum_value(self._btf, access)
            values = {enum_value(kernel, match) for match in found}
            return Outcome(question, _only(values, question, relocation.type_id) if values else None, original)
        mine = field_value(self._btf, access, kind)
        if not found:
            return Outcome(question, None, mine.value)
        theirs = {field_value(kernel, match, kind) for match in found}
        value = _only({each.value for each in theirs}, question, relocation.type_id)
        return _field_outcome(question, value, mine, next(iter(theirs)))

    def _named(self, name: str, local: Type | None) -> tuple[int, ...]:
        """The kernel's types of this name and of the local type's kind."""
        wanted = essential(name)
        kinds = _kinds(local)
        key = (wanted, kinds)
        if key not in self._candidates:
            self._candidates[key] = tuple(self._kernel().find_all(wanted, *kinds))
        return self._candidates[key]


def _field_outcome(question: str, value: int, mine: FieldValue, theirs: FieldValue) -> Outcome:
    if not mine.size or mine.size == theirs.size:
        return Outcome(question, value, mine.value)
    # A load of an unsigned number or a pointer may become wider or narrower; a signed one would lose its sign.
    return Outcome(question, value, mine.value, theirs.size, not (mine.plain and theirs.plain))


def _only(answers: set[int], question: str, type_id: int) -> int:
    if len(answers) > 1:
        shown = ", ".join(map(str, sorted(answers)))
        raise BtfError(f"{question}: the kernel's types of this name differ ({shown})", type_id)
    return next(iter(answers))


def patch(instruction: Instruction, outcome: Outcome) -> tuple[Instruction, ...]:
    """The instruction with the answer in it: immediate, offset, or 64-bit immediate.

    What the kernel does not have becomes a call that the verifier refuses where it can be reached.

    Raises:
        BtfError: the instruction cannot carry the answer.
    """
    cls = instruction.opcode & 7
    memory = cls in (InstructionClass.LDX, InstructionClass.ST, InstructionClass.STX)
    if outcome.value is None or (memory and outcome.fixed_size):
        poison = call(POISON).at(instruction.source)
        return (poison.labelled(*instruction.labels),) + (poison,) * (instruction.slots - 1)
    value = outcome.value
    if memory:
        if not -0x8000 <= value <= 0x7FFF:
            raise BtfError(f"{outcome.question} is {value}, too far for the offset of a load")
        changed = instruction.resolved(offset=value)
        return (_resized(changed, outcome.size),) if outcome.size else (changed,)
    if instruction.is_wide and not instruction.src:
        return (instruction.resolved(imm=value - (1 << 64) if value >= 1 << 63 else value),)
    if cls in (InstructionClass.ALU, InstructionClass.ALU64) and not instruction.opcode & OperandSource.X:
        if not -0x8000_0000 <= value <= 0xFFFF_FFFF:
            raise BtfError(f"{outcome.question} is {value}, too large for this instruction")
        return (instruction.resolved(imm=value - (1 << 32) if value >= 1 << 31 else value),)
    raise BtfError(f"{outcome.question} is asked by an instruction that cannot carry the answer: {instruction}")


def _resized(instruction: Instruction, size: int) -> Instruction:
    if size not in _SIZES:
        raise BtfError(f"no load has {size} bytes")
    opcode = OpCode(instruction.opcode & ~0x18 | _SIZES[size])
    return Instruction(
        opcode,
        instruction.dst,
        instruction.src,
        instruction.offset,
        instruction.imm,
        labels=instruction.labels,
        source=instruction.source,
    )


def _name_of(kind: Type | None) -> str:
    return kind.name if isinstance(kind, (Composite, Enumeration, Forward, Int, Typedef)) else ""


def _kinds(kind: Type | None) -> tuple[Kind, ...]:
    if isinstance(kind, Composite):
        return (Kind.UNION,) if kind.is_union else (Kind.STRUCT,)
    if isinstance(kind, Enumeration):
        return (Kind.ENUM, Kind.ENUM64)
    if isinstance(kind, Typedef):
        return (Kind.TYPEDEF,)
    return (Kind.INT,) if isinstance(kind, Int) else (Kind.FWD,)

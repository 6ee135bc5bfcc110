"""What a compiled program needs: its stack, its helpers, and the oldest kernel that has all it uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pybpf.asm import Instruction, KfuncReference, MapReference, MapValueReference
from pybpf.asm.helper_names import helper_name
from pybpf.asm.isa import form_of
from pybpf.asm.opcode import AluOp, InstructionClass, JumpOp
from pybpf.asm.operands import CallKind, WideKind
from pybpf.kernel.constants import AttachType, MapFlag
from pybpf.kernel.helper_since import helper_since
from pybpf.lang import helpers as lang_helpers
from pybpf.lang.surface import kernel_call
from pybpf.maps import Map
from pybpf.program import ProgramSpec

_CALLS = {CallKind.FUNCTION: ("4.16", "functions of the program"), CallKind.KFUNC: ("5.13", "kernel functions")}
_WIDE = {
    WideKind.MAP_VALUE: ("5.2", "addresses of map values"),
    WideKind.BTF_ID: ("5.10", "kernel variables"),
    WideKind.FUNCTION: ("5.13", "callbacks"),
}
_FLAGS = {MapFlag.MMAPABLE: "5.5", MapFlag.INNER_MAP: "5.10", MapFlag.RDONLY_PROG: "5.2"}
_LOOP = ("5.3", "a loop")
_MOST_BEFORE_5_2 = 4096
_FRAME = 10


@dataclass(frozen=True, order=True)
class Reason:
    """Something a program uses and the kernel that brought it."""

    since: str
    what: str


@dataclass(frozen=True)
class Needs:
    """A program's size in slots of 8 bytes, stack in bytes (of its deepest function), and what it refers to."""

    instructions: int
    stack: int
    maps: tuple[str, ...]
    helpers: tuple[str, ...]
    kfuncs: tuple[str, ...]
    reasons: tuple[Reason, ...]
    """Newest first; the first one decides."""

    @property
    def minimum_kernel(self) -> str:
        """The oldest Linux that has it all, by the versions that brought things; distributions carry some back."""
        return self.reasons[0].since


def needs_of(spec: ProgramSpec, maps: Mapping[str, Map]) -> Needs:
    """What a program needs, by looking at every instruction; ``maps`` are the declarations of its object."""
    names = _names(spec.instructions, (MapReference, MapValueReference))
    slots = sum(ins.slots for ins in spec.instructions)
    reasons = {
        Reason(spec.type.since, f"{spec.type.name.lower()} programs"),
        *(reason for ins in spec.instructions for reason in _of_instruction(ins)),
        *(reason for name in names if name in maps for reason in _of_map(maps[name])),
    }
    if spec.attach_type is not AttachType.NONE:
        reasons.add(Reason(spec.attach_type.since, f"attach type {spec.attach_type.name.lower()}"))
    if slots > _MOST_BEFORE_5_2:
        reasons.add(Reason("5.2", f"more than {_MOST_BEFORE_5_2} instructions"))
    return Needs(
        instructions=slots,
        stack=stack_of(spec.instructions),
        maps=names,
        helpers=tuple(sorted({_helper_name(ins.imm) for ins in spec.instructions if _is_helper(ins)})),
        kfuncs=_names(spec.instructions, (KfuncReference,)),
        reasons=tuple(sorted(reasons, key=lambda reason: (version(reason.since), reason.what), reverse=True)),
    )


def newest(needs: Iterable[Needs]) -> str:
    """The kernel that all of several programs need."""
    return max((each.minimum_kernel for each in needs), key=version)


def version(text: str) -> tuple[int, ...]:
    """``5.10`` as (5, 10): versions do not sort as text."""
    return tuple(int(part) for part in text.split("."))


def stack_of(instructions: Iterable[Instruction]) -> int:
    """The bytes below the frame pointer that a program uses: by direct access, and by addresses it makes."""
    lowest, copies = 0, set[int]()
    for ins in instructions:
        code = ins.opcode
        base = ins.src if code.cls is InstructionClass.LDX else ins.dst
        if code.mode is not None and base == _FRAME:
            lowest = min(lowest, ins.offset)
        if code.cls is InstructionClass.ALU64 and code.alu_op is AluOp.ADD and ins.dst in copies:
            lowest = min(lowest, ins.imm)
        if code.cls is InstructionClass.ALU64 and code.alu_op is AluOp.MOV and code.byte & 0x08 and ins.src == _FRAME:
            copies.add(ins.dst)
        elif not code.is_jump and code.cls not in (InstructionClass.ST, InstructionClass.STX):
            copies.discard(ins.dst)
    return -lowest


def _of_instruction(ins: Instruction) -> Iterator[Reason]:
    form = form_of(ins.opcode)
    if form is not None and form.since not in ("", "3.18"):
        yield Reason(form.since, f"instruction {str(ins).split(' goto')[0]}" if not ins.target else "newer jumps")
    if _is_helper(ins):
        yield Reason(helper_since(ins.imm), _helper_name(ins.imm))
    elif isinstance(ins.reference, KfuncReference):
        yield Reason(_kfuncs().get(ins.reference.name, "5.13"), ins.reference.name)
    elif ins.call_kind in _CALLS:
        yield Reason(*_CALLS[ins.call_kind])
    if ins.wide_kind in _WIDE:
        yield Reason(*_WIDE[ins.wide_kind])
    if ins.opcode.is_jump and ins.opcode.jump_op not in (JumpOp.CALL, JumpOp.EXIT) and _jump_offset(ins) < 0:
        yield Reason(*_LOOP)


def _of_map(declared: Map) -> Iterator[Reason]:
    yield Reason(declared.map_type.since, f"{declared.map_type.name.lower()} map {declared.name}")
    for flag, since in _FLAGS.items():
        if declared.flags & flag:
            yield Reason(since, f"map flag {flag.name} of {declared.name}")


def _jump_offset(ins: Instruction) -> int:
    long = ins.opcode.cls is InstructionClass.JMP32 and ins.opcode.jump_op is JumpOp.JA
    return ins.imm if long else ins.offset


def _is_helper(ins: Instruction) -> bool:
    return ins.call_kind is CallKind.HELPER and ins.reference is None


def _helper_name(number: int) -> str:
    return helper_name(number) or f"helper {number}"


def _kfuncs() -> dict[str, str]:
    calls = (kernel_call(value) for value in vars(lang_helpers).values())
    return {call.name: call.since for call in calls if call is not None and call.helper is None}


def _names(instructions: Iterable[Instruction], kinds: tuple[type[object], ...]) -> tuple[str, ...]:
    found = (ins.reference for ins in instructions)
    return tuple(sorted({item.name for item in found if isinstance(item, kinds)}))  # type: ignore[union-attr]

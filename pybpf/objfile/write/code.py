"""Programs cut into functions, with relocations where the kernel's numbers will stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pybpf.asm import (
    AsmError,
    CallKind,
    Instruction,
    KfuncReference,
    MapReference,
    MapValueReference,
    WideKind,
    encode,
    slot_offsets,
)
from pybpf.objfile.image import RelocationKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pybpf.asm import Reference

_SLOT = 8


@dataclass(frozen=True)
class Piece:
    """One function of a program: ``start`` is its first slot in the program; 0 is the program itself."""

    start: int
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Fixup:
    """At byte ``offset`` of a function an address is missing: a reference's, or (None) the section of functions'."""

    offset: int
    kind: RelocationKind
    reference: Reference | None = None


def pieces(instructions: Sequence[Instruction]) -> tuple[Piece, ...]:
    """The functions of an assembled program: one begins wherever a call or a function's address leads."""
    slots = slot_offsets(instructions)
    starts = sorted({0, *(_destination(ins, slot) for ins, slot in zip(instructions, slots) if refers_inside(ins))})
    ends = [*starts[1:], slots[-1] + instructions[-1].slots]
    placed = list(zip(slots, instructions))
    return tuple(
        Piece(start, tuple(ins for slot, ins in placed if start <= slot < end)) for start, end in zip(starts, ends)
    )


def refers_inside(ins: Instruction) -> bool:
    """Whether it calls a function of its program, or takes its address."""
    return (ins.is_call and ins.src == CallKind.FUNCTION) or (ins.is_wide and ins.src == WideKind.FUNCTION)


def machine_code(piece: Piece, places: Mapping[int, int]) -> tuple[bytes, tuple[Fixup, ...]]:
    """The bytes of a function as compilers leave them, and what the loader has to fill in.

    ``places`` says at which byte of their section the program's other functions lie, by their first slot.

    Raises:
        AsmError: an instruction is broken.
    """
    fixups: list[Fixup] = []
    plain: list[Instruction] = []
    for slot, ins in zip(slot_offsets(piece.instructions), piece.instructions):
        changed, found = _unresolved(ins, slot, piece.start, places)
        plain.append(changed)
        fixups += found
    return encode(plain), tuple(fixups)


def references(instructions: Sequence[Instruction]) -> Iterator[Reference]:
    """All names of maps and kernel functions."""
    return (ins.reference for ins in instructions if ins.reference is not None)


def _unresolved(ins: Instruction, slot: int, start: int, places: Mapping[int, int]) -> tuple[Instruction, list[Fixup]]:
    offset = slot * _SLOT
    reference = ins.reference
    if refers_inside(ins):
        kind = RelocationKind.R_BPF_64_32 if ins.is_call else RelocationKind.R_BPF_64_64
        place = places.get(_destination(ins, slot + start))
        if place is None:
            raise AsmError("a function that calls the program itself has no place in an object file", slot)
        # libbpf wants the symbol of the section: a call counts slots from the next instruction, an address is in bytes
        changed = ins.resolved(imm=place // _SLOT - 1 if ins.is_call else place)
        return changed, [Fixup(offset, kind)]
    if isinstance(reference, KfuncReference):
        changed = replace(ins.resolved(imm=-1), src=CallKind.FUNCTION) if ins.is_call else ins.resolved(src=0, imm=0)
        kind = RelocationKind.R_BPF_64_32 if ins.is_call else RelocationKind.R_BPF_64_64
        return changed, [Fixup(offset, kind, reference)]
    if isinstance(reference, MapValueReference):
        changed = ins.resolved(src=0, imm=reference.offset)
        return changed, [Fixup(offset, RelocationKind.R_BPF_64_64, reference)]
    if isinstance(reference, MapReference):
        return ins.resolved(src=0, imm=0), [Fixup(offset, RelocationKind.R_BPF_64_64, reference)]
    return ins, []


def _destination(ins: Instruction, slot: int) -> int:
    return slot + 1 + (ins.imm & 0xFFFFFFFF ^ 0x80000000) - 0x80000000

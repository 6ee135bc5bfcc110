"""Labels become offsets, names of maps and kernel functions become numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from pybpf.asm.errors import AsmError
from pybpf.asm.flow import GOTO, GOTO_LONG, MAY_GOTO, jump, jump_long
from pybpf.asm.immediates import halves
from pybpf.asm.instruction import CALL, LOAD_IMM64, Instruction
from pybpf.asm.opcode import JumpOp, OpCode
from pybpf.asm.operands import CallKind, KfuncReference, MapValueReference, Reference, WideKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LOW, _HIGH = -0x8000, 0x7FFF


def assemble(instructions: Iterable[Instruction]) -> tuple[Instruction, ...]:
    """The same instructions with every label resolved.

    A ``goto`` further than 16 bits of offset becomes ``gotol`` (Linux 6.6); a conditional jump that far becomes the
    opposite condition around a ``gotol``. References stay as they are: see :func:`bind`.

    Raises:
        AsmError: a label is missing or defined twice, or a jump by number would be moved by such a rewrite.
    """
    program = list(instructions)
    lengthened: set[int] = set()
    while True:
        # Each rewrite moves what follows, so another jump may become too far: start again with that one too.
        expanded, origins = _lengthen(program, lengthened) if lengthened else (program, range(len(program)))
        slots, labels = _layout(expanded)
        far: list[int] = []
        resolved = [
            ins if ins.target is None else _resolve(ins, index, slots[index], labels, far)
            for index, ins in enumerate(expanded)
        ]
        if not far:
            return tuple(resolved)
        lengthened.update(origins[index] for index in far)


def bind(
    instructions: Iterable[Instruction], resolve: Callable[[Reference], int | tuple[int, int]]
) -> tuple[Instruction, ...]:
    """The same instructions with the references replaced by numbers.

    ``resolve`` is asked for the file descriptor of a map, or for the BTF id of a kernel function; for a function of a
    module, a pair of its BTF id and the index of the module's BTF in the load's file descriptor array (Linux 5.16).

    Raises:
        AsmError: a pair for something that is no kernel function; and whatever ``resolve`` raises.
    """
    out: list[Instruction] = []
    for index, ins in enumerate(instructions):
        reference = ins.reference
        if reference is None:
            out.append(ins)
            continue
        answer = resolve(reference)
        if isinstance(reference, KfuncReference):
            btf_id, btf_index = answer if isinstance(answer, tuple) else (answer, 0)
            out.append(ins.resolved(imm=btf_id, offset=btf_index))
        elif isinstance(answer, tuple):
            raise AsmError(f"{reference!r} resolves to one number, not to {answer!r}", index)
        else:
            offset = reference.offset if isinstance(reference, MapValueReference) else 0
            out.append(ins.resolved(imm=halves(answer, offset)))
    return tuple(out)


def slot_offsets(instructions: Iterable[Instruction]) -> tuple[int, ...]:
    """The slot each instruction starts at, in units of 8 bytes: what the kernel's logs and BTF line info count in."""
    out: list[int] = []
    slot = 0
    for ins in instructions:
        out.append(slot)
        slot += 2 if ins.opcode == LOAD_IMM64 else 1
    return tuple(out)


def _layout(program: Sequence[Instruction]) -> tuple[tuple[int, ...], dict[str, int]]:
    slots = slot_offsets(program)
    labels: dict[str, int] = {}
    for index, ins in enumerate(program):
        for label in ins.labels:
            if label in labels:
                raise AsmError(f"label {label!r} is defined twice", index)
            labels[label] = slots[index]
    return slots, labels


def _resolve(ins: Instruction, index: int, slot: int, labels: dict[str, int], far: list[int]) -> Instruction:
    """``ins`` with its target resolved; what a conditional jump cannot reach is noted in ``far``."""
    assert ins.target is not None
    if ins.target not in labels:
        raise AsmError(f"label {ins.target!r} is not defined", index)
    # Also from ld_imm64 of a function, which has two slots, the kernel counts from the first slot + 1.
    distance = labels[ins.target] - slot - 1
    opcode = ins.opcode
    if opcode == GOTO_LONG or (opcode == CALL and ins.src == CallKind.FUNCTION):
        return ins.resolved(imm=distance)
    if opcode == LOAD_IMM64 and ins.src == WideKind.FUNCTION:
        return ins.resolved(imm=halves(distance, 0))
    if not _is_short_jump(opcode):
        raise AsmError(f"opcode {int(opcode):#04x} takes no label", index)
    if _LOW <= distance <= _HIGH:
        return ins.resolved(offset=distance)
    if opcode != GOTO:
        far.append(index)
        return ins
    return Instruction(GOTO_LONG, imm=distance, labels=ins.labels, source=ins.source)


def _is_short_jump(opcode: OpCode) -> bool:
    if opcode in (GOTO, MAY_GOTO):
        return True
    return opcode.is_jump and JumpOp(opcode & 0xF0).is_comparison


def _lengthen(program: Sequence[Instruction], far: set[int]) -> tuple[list[Instruction], list[int]]:
    """The program with its far conditional jumps rewritten, and for each instruction the index it had before."""
    out: list[Instruction] = []
    origins: list[int] = []
    for index, ins in enumerate(program):
        if ins.target is None and _jumps_by_number(ins):
            raise AsmError("a jump by number does not survive the rewriting of far jumps; give it a label", index)
        if index not in far or ins.target is None:
            new = [ins]
        else:
            around = JumpOp(ins.opcode & 0xF0).inverse
            if around is not None:
                new = [_with_jump_op(ins, around).resolved(offset=1)]
            else:
                new = [ins.resolved(offset=1), jump(1).at(ins.source)]
            new.append(jump_long(ins.target).at(ins.source))
        out += new
        origins += [index] * len(new)
    return out, origins


def _jumps_by_number(ins: Instruction) -> bool:
    if ins.opcode == CALL:
        return ins.src == CallKind.FUNCTION
    if ins.opcode == LOAD_IMM64:
        return ins.src == WideKind.FUNCTION
    return ins.opcode == GOTO_LONG or _is_short_jump(ins.opcode)


def _with_jump_op(ins: Instruction, op: JumpOp) -> Instruction:
    opcode = OpCode(ins.opcode & ~0xF0 | op)
    return Instruction(opcode, ins.dst, ins.src, ins.offset, ins.imm, ins.target, None, ins.labels, ins.source)

"""From instructions to operations: one Python function for each slot of the program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pybpf.asm import (
    CallKind,
    Instruction,
    InstructionClass,
    JumpOp,
    KfuncReference,
    MapReference,
    MapValueReference,
    Mode,
    OperandSource,
    Register,
    WideKind,
)
from pybpf.asm.isa import DST, SRC, form_of
from pybpf.vm.access import access
from pybpf.vm.alu import arithmetic
from pybpf.vm.calls import call_function, call_helper, call_through, exit_, packet_load
from pybpf.vm.fault import FaultKind, Trap
from pybpf.vm.jumps import NOWHERE, comparison, jump, may_goto
from pybpf.vm.templates import M64, Operation, Registers, factory

if TYPE_CHECKING:
    from pybpf.vm.machine import Machine
    from pybpf.vm.maps import VmMap

_FRAME_POINTER = 10
_BARRIER = InstructionClass.ST | Mode.ATOMIC


def build(machine: Machine, by_slot: Mapping[int, Instruction]) -> list[Operation]:
    """An operation for each slot and one after the last. What cannot run is a fault only when it is reached."""
    slots = sum(ins.slots for ins in machine.instructions)
    operations = [_trap(Trap(FaultKind.BAD_JUMP))] * slots
    operations.append(_trap(Trap(FaultKind.FELL_OFF)))
    for slot, ins in by_slot.items():
        try:
            operations[slot] = _operation(machine, by_slot, slot, ins)
        except Trap as trap:
            operations[slot] = _trap(trap)
    return operations


def _trap(trap: Trap) -> Operation:
    def operation(r: Registers) -> int:
        raise Trap(trap.kind, trap.detail, trap.address)

    return operation


def _operation(machine: Machine, by_slot: Mapping[int, Instruction], slot: int, ins: Instruction) -> Operation:
    _check_registers(ins)
    opcode = ins.opcode
    after = slot + ins.slots
    if opcode.is_alu:
        return arithmetic(ins, after)
    if opcode.is_jump:
        return _flow(machine, by_slot, slot, ins)
    if ins.is_wide:
        return factory("r[d] = k\nreturn n", "d", "k", "n")(ins.dst, _wide(machine, by_slot, slot, ins), after)
    if opcode.cls is InstructionClass.LD:
        return packet_load(machine, ins, after)
    if opcode == _BARRIER:
        return factory("return n", "n")(after)
    return access(ins, after, machine.memory.windows, strict=machine.strict_alignment)


def _flow(machine: Machine, by_slot: Mapping[int, Instruction], slot: int, ins: Instruction) -> Operation:
    op, register = ins.opcode.jump_op, ins.opcode.source is OperandSource.X
    assert op is not None
    after = slot + 1

    def place(distance: int) -> int:
        return after + distance if after + distance in by_slot else NOWHERE

    if op.is_comparison:
        return comparison(ins, after, place(ins.offset))
    if op is JumpOp.JCOND:
        return may_goto(machine.frames.budget, after, place(ins.offset))
    if op is JumpOp.EXIT:
        return exit_(machine)
    if op is JumpOp.JA:
        if register:
            return factory("return slot_of(r[d] + 0)", "d", "slot_of")(ins.dst, machine.slot_of)
        return jump(place(ins.imm if ins.opcode.cls is InstructionClass.JMP32 else ins.offset))
    if register:
        return call_through(machine, ins.dst, after)
    if ins.call_kind is CallKind.FUNCTION:
        return call_function(machine, place(ins.imm), after)
    if ins.call_kind is CallKind.KFUNC:
        name = ins.reference.name if isinstance(ins.reference, KfuncReference) else f"BTF id {ins.imm}"
        return call_helper(machine, machine.kfuncs.get(name), name, after)
    return call_helper(machine, machine.helpers.get(ins.imm), f"helper {ins.imm}", after)


def _wide(machine: Machine, by_slot: Mapping[int, Instruction], slot: int, ins: Instruction) -> int:
    kind, low, high = ins.wide_kind, ins.imm & 0xFFFF_FFFF, ins.imm >> 32 & 0xFFFF_FFFF
    if kind is WideKind.VALUE:
        return ins.imm & M64
    if kind is WideKind.FUNCTION:
        target = slot + 1 + (low ^ 0x8000_0000) - 0x8000_0000
        if target not in by_slot:
            raise Trap(FaultKind.BAD_JUMP)
        return machine.code.address + 8 * target
    if kind is WideKind.BTF_ID:
        raise Trap(FaultKind.UNMAPPED, "variables of the kernel are not here")
    reference = ins.reference
    if isinstance(reference, MapValueReference):
        return _map(machine, reference.name).value_address(reference.offset)
    live = _map(machine, reference.name if isinstance(reference, MapReference) else low)
    if kind in (WideKind.MAP_VALUE, WideKind.MAP_INDEX_VALUE):
        return live.value_address(high)
    return live.handle.address


def _map(machine: Machine, name: str | int) -> VmMap:
    if name not in machine.maps:
        raise Trap(FaultKind.UNKNOWN_MAP, str(name))
    return machine.maps[name]


def _check_registers(ins: Instruction) -> None:
    form = form_of(ins.opcode)
    assert form is not None
    for field, number in ((DST, ins.dst), (SRC, ins.src)):
        if form.fields & field and not form.kinds and number > _FRAME_POINTER:
            raise Trap(FaultKind.BAD_REGISTER, f"r{number} is the kernel's own")
    if _written(ins) == Register.R10:
        raise Trap(FaultKind.BAD_REGISTER, "r10 cannot be written")


def _written(ins: Instruction) -> int | None:
    opcode = ins.opcode
    if opcode.is_alu or opcode.cls is InstructionClass.LDX or ins.is_wide:
        return ins.dst
    op = opcode.atomic_op
    if op is None:
        return None
    if op.name == "LOAD_ACQUIRE":
        return ins.dst
    return ins.src if op.name.startswith("FETCH") or op.name == "XCHG" else None

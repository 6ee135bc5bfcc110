"""Calls, returns and packet loads: RFC 9669, section 4.3.1, and the legacy instructions of section 5.6."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from pybpf.asm import Instruction, Mode
from pybpf.vm.fault import FaultKind, Trap, VmFault
from pybpf.vm.jumps import NOWHERE
from pybpf.vm.programs import TailCall
from pybpf.vm.templates import M64, UNSET, Operation, Registers, signed

if TYPE_CHECKING:
    from pybpf.vm.machine import Helper, Machine

_ARGUMENTS = 5


def call_function(machine: Machine, target: int, after: int) -> Operation:
    """Call the function at slot ``target``."""
    if target == NOWHERE:
        raise Trap(FaultKind.BAD_CALL)
    frames = machine.frames

    def operation(r: Registers) -> int:
        frames.call(r, after)
        return target

    return operation


def exit_(machine: Machine) -> Operation:
    """Return from a function, or from the program."""
    return machine.frames.exit


def call_helper(machine: Machine, helper: Helper | None, name: str, after: int) -> Operation:
    """Call a helper with as many of r1 to r5 as it has parameters; r1 to r5 are lost."""
    if helper is None:
        raise Trap(FaultKind.UNKNOWN_HELPER, name)
    count = _parameters(helper)
    known = helper

    def operation(r: Registers) -> int:
        arguments = r[1 : 1 + (_ARGUMENTS if count is None else count)]
        if count is not None and UNSET in arguments:
            raise Trap(FaultKind.UNINITIALISED_REGISTER, f"r{1 + arguments.index(UNSET)}, an argument of {name}")
        try:
            r[0] = known(machine, *arguments) & M64
        except (Trap, VmFault, TailCall):
            raise
        except Exception as error:
            raise Trap(FaultKind.HELPER_FAILED, f"{name}: {error!r}") from error
        r[1:6] = [UNSET] * _ARGUMENTS
        return after

    return operation


def call_through(machine: Machine, number: int, after: int) -> Operation:
    """``callx``: a function of the program by its address, or a helper by its number."""
    helpers = {
        helper: call_helper(machine, function, f"helper {helper}", after)
        for helper, function in machine.helpers.items()
    }

    def operation(r: Registers) -> int:
        value = r[number] + 0
        if value in helpers:
            return helpers[value](r)
        slot = machine.slot_of(value)
        machine.frames.call(r, after)
        return slot

    return operation


def packet_load(machine: Machine, ins: Instruction, after: int) -> Operation:
    """``ld_abs`` and ``ld_ind``: outside of the packet, the function ends with 0."""
    size = ins.opcode.size
    assert size is not None
    bytes_wanted = size.bytes
    indirect = ins.opcode.mode is Mode.IND

    def operation(r: Registers) -> int:
        offset = ins.imm + (r[ins.src] if indirect else 0)
        packet = machine.packet
        if packet is None or r[6] != packet.context.address:
            raise Trap(FaultKind.BAD_ARGUMENT, "r6 is not the context of a packet")
        value = packet.load(signed(offset, 32), bytes_wanted)
        r[1:6] = [UNSET] * _ARGUMENTS
        r[0] = 0 if value is None else value
        return machine.frames.exit(r) if value is None else after

    return operation


def _parameters(helper: Helper) -> int | None:
    """How many registers a helper takes; None when it takes whatever there is."""
    parameters = list(inspect.signature(helper).parameters.values())[1:]
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return len(parameters)

"""The machine: a program, its memory, its helpers and maps; runs give r0 or a VmFault."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Union

from pybpf.asm import AsmError, Instruction, assemble, decode, format_instruction, slot_offsets
from pybpf.vm.build import build
from pybpf.vm.fault import FaultKind, Trap, VmFault
from pybpf.vm.foreign import Foreign
from pybpf.vm.frames import RETURN_TO_HELPER, Finished, Frames
from pybpf.vm.helpers import HELPERS, KFUNCS
from pybpf.vm.memory import Memory
from pybpf.vm.operands import operand_registers, wanted_memory
from pybpf.vm.programs import TailCall
from pybpf.vm.templates import UNSET, Registers

if TYPE_CHECKING:
    from pybpf.vm.maps import VmMap
    from pybpf.vm.packet import Packet
    from pybpf.vm.rings import Reserved

Helper = Callable[..., int]
"""Called with the machine and the values of r1 to r5 (None where never written); gives r0, negative numbers too."""

Program = Union[bytes, Sequence[Instruction]]

INSTRUCTION_LIMIT = 1_000_000
"""How many instructions a run may take: as many as the verifier looks at (BPF_COMPLEXITY_LIMIT_INSNS)."""

MAY_GOTO_BUDGET = 0x80_0000
"""BPF_MAX_LOOPS."""


class Machine:
    """Runs one program, any number of times.

    ``maps`` are by name, as the program's instructions refer to them, or by number for ``ld_imm64`` of a descriptor.
    ``helpers`` by number and ``kfuncs`` by name are added to the built-in ones and replace them. ``cpu`` is the one the
    program believes to run on, ``cookie`` what the attach cookie helper gives, ``is_return`` what
    ``bpf_session_is_return`` does, ``foreign`` the memory outside of the program that probe_read reaches, ``printed``
    the lines of trace_printk. ``executed`` counts the instructions of the last run.

    Raises:
        VmFault: these are no instructions.
    """

    def __init__(
        self,
        program: Program,
        *,
        memory: Memory | None = None,
        maps: Mapping[str | int, VmMap] | None = None,
        helpers: Mapping[int, Helper] | None = None,
        kfuncs: Mapping[str, Helper] | None = None,
        instruction_limit: int = INSTRUCTION_LIMIT,
        may_goto_budget: int = MAY_GOTO_BUDGET,
        strict_alignment: bool = False,
    ) -> None:
        self.instructions = _instructions(program)
        self.memory = Memory() if memory is None else memory
        self.maps = dict(maps or {})
        self.helpers: dict[int, Helper] = {**HELPERS, **(helpers or {})}
        self.kfuncs: dict[str, Helper] = {**KFUNCS, **(kfuncs or {})}
        self.instruction_limit = instruction_limit
        self.strict_alignment = strict_alignment
        self.foreign = Foreign(self.memory)
        self.frames = Frames(self.memory, may_goto_budget)
        self.code = self.memory.add(b"", "program")
        self.cpu = 0
        self.executed = 0
        self.packet: Packet | None = None
        self.reserved: dict[int, Reserved] = {}
        self.printed: list[str] = []
        self.cookie = 0
        self.is_return = False
        self.tail_calls = 0
        self._observer: Callable[[int, Instruction, Registers], None] | None = None
        self._maps_by_address = {live.handle.address: live for live in self.maps.values()}
        self._by_slot = dict(zip(slot_offsets(self.instructions), self.instructions))
        self._operations = build(self, self._by_slot)

    def run(
        self,
        *arguments: int,
        packet: Packet | None = None,
        observer: Callable[[int, Instruction, Registers], None] | None = None,
    ) -> int:
        """Run the program with ``arguments`` in r1 and up: r0, without sign.

        ``packet`` is what packet loads and packet helpers see. ``observer`` is called after every instruction with its
        slot, itself and the registers (None where never written).

        Raises:
            VmFault: the program did what it may not, or took more than ``instruction_limit`` instructions.
        """
        self.tail_calls = 0
        return self._run(arguments, packet, observer)

    def _run(
        self,
        arguments: tuple[int, ...],
        packet: Packet | None,
        observer: Callable[[int, Instruction, Registers], None] | None,
    ) -> int:
        self.packet, self._observer, self.executed = packet, observer, 0
        registers = self.frames.enter()
        for number, value in enumerate(arguments, 1):
            registers[number] = value & 0xFFFF_FFFF_FFFF_FFFF
        try:
            self._loop(0, registers)
            return registers[0]
        except TailCall as call:
            target, context = call.target, call.context
        finally:
            self.frames.leave()
            reserved, self.reserved = self.reserved, {}
            for record in reserved.values():
                record.abandon()
        target.tail_calls = self.tail_calls + 1
        return target._run((context,), packet, observer)

    def call_back(self, function: int, *arguments: int) -> int:
        """Call a function of the program from a helper: its r0.

        Raises:
            Trap, VmFault: ``function`` is none; or what it does is a fault.
        """
        registers = [UNSET, *arguments, *[UNSET] * (10 - len(arguments))]
        slot = self.slot_of(function)
        self.frames.call(registers, RETURN_TO_HELPER)
        self._loop(slot, registers)
        return registers[0]

    def map_at(self, address: int) -> VmMap:
        """The map whose address a program got from ``ld_imm64``. Raises Trap."""
        found = self._maps_by_address.get(address)
        if found is None:
            raise Trap(FaultKind.BAD_ARGUMENT, f"{address:#x} is no map", address)
        return found

    def slot_of(self, function: int) -> int:
        """The slot a code address (as ``ld_imm64`` of a function gives it) stands for. Raises Trap."""
        slot, rest = divmod(function - self.code.address, 8)
        if rest or slot not in self._by_slot:
            raise Trap(FaultKind.BAD_CALL, f"{function:#x}")
        return slot

    def _loop(self, slot: int, registers: Registers) -> None:
        operations = self._operations
        count = 0
        try:
            rounds = range(1, self.instruction_limit - self.executed + 1)
            if self._observer is not None:
                for count in rounds:  # noqa: B007
                    before, slot = slot, operations[slot](registers)
                    self._observer(before, self._by_slot[before], registers)
            else:
                for count in rounds:  # noqa: B007
                    slot = operations[slot](registers)
        except Finished:
            if self._observer is not None:
                self._observer(slot, self._by_slot[slot], registers)
            if self.reserved and not self.frames.depth:
                raise self._fault(Trap(FaultKind.UNRELEASED), slot, registers) from None
            return
        except Trap as trap:
            raise self._fault(trap, slot, registers) from trap.__cause__
        except (KeyError, TypeError, struct.error):
            raise self._fault(self._reason(slot, registers), slot, registers) from None
        finally:
            self.executed += count
        raise self._fault(Trap(FaultKind.INSTRUCTION_LIMIT, str(self.instruction_limit)), slot, registers)

    def _reason(self, slot: int, registers: Registers) -> Trap:
        """What Python refused: a register never written, or an access to memory that is not there."""
        ins = self._by_slot[slot]
        for number in operand_registers(ins):
            if registers[number] is UNSET:
                return Trap(FaultKind.UNINITIALISED_REGISTER, f"r{number}")
        address, size, write = wanted_memory(ins, registers)
        return self.memory.explain(address, size, write=write)

    def _fault(self, trap: Trap, slot: int, registers: Registers) -> VmFault:
        ins = self._by_slot.get(slot)
        text = "" if ins is None else format_instruction(ins)
        return VmFault(
            trap.kind, trap.detail, slot=slot, instruction=text, address=trap.address, registers=tuple(registers)
        )


def _instructions(program: Program) -> tuple[Instruction, ...]:
    try:
        return decode(program) if isinstance(program, (bytes, bytearray, memoryview)) else assemble(program)
    except AsmError as error:
        raise VmFault(FaultKind.NOT_A_PROGRAM, error.reason, slot=error.index or 0) from error

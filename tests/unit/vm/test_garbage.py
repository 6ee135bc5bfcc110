"""Whatever the bytes, a machine ends: with a result or with a fault, and soon."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from pybpf.asm import Instruction
from pybpf.asm.isa import DST, IMM, OFFSET, SRC, Form, forms
from pybpf.kernel.constants import MapType
from pybpf.types import u32, u64
from pybpf.vm import HELPERS, Machine, Memory, VmFault, run
from pybpf.vm.maps import KeyedVmMap, VmMap
from pybpf.vm.packet import socket_packet
from pybpf.vm.rings import VmRing

LIMIT = 2000

_FORMS = sorted(forms().values(), key=lambda form: form.opcode)
_CALL, _EXIT = 0x85, 0x95


def instruction_of(form: Form) -> st.SearchStrategy[Instruction]:
    """An instruction of one operation whose operands are small, so that it often makes sense."""
    zero = st.just(0)
    numbers = st.one_of(st.integers(-20, 20), st.integers(-(1 << 31), (1 << 31) - 1))
    if form.opcode == _CALL:
        numbers = st.sampled_from(sorted(HELPERS))
    return st.builds(
        Instruction,
        st.just(form.opcode),
        st.integers(0, 10) if form.fields & DST else zero,
        st.sampled_from(form.kinds) if form.kinds else (st.integers(0, 10) if form.fields & SRC else zero),
        st.integers(-12, 12) if form.fields & OFFSET else zero,
        numbers if form.fields & IMM else zero,
    )


programs = st.lists(st.sampled_from(_FORMS).flatmap(instruction_of), max_size=40)


def ends(program: bytes | list[Instruction]) -> None:
    """Run it on a packet, with maps, with all registers written; only faults may come out of it."""
    memory = Memory()
    kinds = (MapType.ARRAY, MapType.HASH, MapType.LRU_HASH, MapType.PERCPU_ARRAY)
    maps: dict[str | int, VmMap] = {
        number: KeyedVmMap(memory, kind.name, kind, u32, u64, 4, cpus=2) for number, kind in enumerate(kinds)
    }
    maps[len(maps)] = VmRing(memory, "ring", 4096)
    try:
        machine = Machine(program, memory=memory, maps=maps, instruction_limit=LIMIT)
        packet = socket_packet(memory, bytes(range(64)))
        result = machine.run(packet.context.address, *(live.handle.address for live in maps.values()), packet=packet)
    except VmFault as fault:
        assert str(fault)
        return
    assert 0 <= result < 1 << 64
    assert machine.executed <= 2 * LIMIT


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    ends(data)
    ends(data[: len(data) // 8 * 8])


@settings(deadline=None, max_examples=400)
@given(programs)
def test_random_instructions(program: list[Instruction]) -> None:
    ends(program)


@settings(deadline=None, max_examples=200)
@given(programs, st.lists(st.integers(-1, (1 << 64) - 1), min_size=10, max_size=10))
def test_random_instructions_on_random_registers(program: list[Instruction], values: list[int]) -> None:
    wide = 0x18
    start = [Instruction(forms()[wide].opcode, number, imm=value - (1 << 63)) for number, value in enumerate(values)]
    ends(start + program)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(HELPERS)), st.lists(st.integers(0, 8), min_size=5, max_size=5), st.integers(0, 1 << 33))
def test_helpers_with_arguments_that_are_wrong(number: int, picks: list[int], value: int) -> None:
    memory = Memory()
    table = KeyedVmMap(memory, "table", MapType.HASH, u32, u64, 4)
    ring = VmRing(memory, "ring", 4096)
    buffer = memory.add(bytearray(64), "buffer")
    choices = [
        0,
        1,
        8,
        value,
        (1 << 64) - 1,
        buffer.address,
        buffer.address + 60,
        table.handle.address,
        ring.handle.address,
    ]
    call, leave = struct.pack("<BBhi", _CALL, 0, 0, number), struct.pack("<BBhi", _EXIT, 0, 0, 0)
    machine = Machine(call + leave, memory=memory, maps={"table": table, "ring": ring}, instruction_limit=LIMIT)
    try:
        machine.run(*(choices[pick] for pick in picks))
    except VmFault as fault:
        assert fault.kind.name != "HELPER_FAILED", fault


def test_a_negative_size_of_memory_is_no_memory() -> None:
    assert run(bytes.fromhex("bf20000000000000 9500000000000000")) == 0

"""Maps whose memory Python writes and a program reads: the user ring buffer and the arena."""

from __future__ import annotations

import contextlib
import struct

import pytest

from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R10,
    AtomicOp,
    JumpOp,
    Size,
    add,
    addr_space_cast,
    assemble,
    atomic,
    call,
    encode,
    exit_,
    jump_if,
    load,
    load_function,
    load_map_fd,
    mov,
    slot_offsets,
    store,
)
from pybpf.btf import BtfBuilder, encode_func_info
from pybpf.errors import KernelError, OutsideProgram
from pybpf.kernel.constants import ProgramType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.prog_ops import btf_load, prog_load, prog_test_run
from pybpf.maps import Arena, Array, UserRingBuffer
from pybpf.types import Struct, u64
from tests.support.tiny_programs import PACKET

DYNPTR_READ, USER_RINGBUF_DRAIN, LOOKUP = 201, 209, 1


class Order(Struct):
    number: u64
    amount: u64


def drain_into(ring_fd: int, sums_fd: int) -> OwnedFd:
    """Drain the ring; add the first u64 of each record to element 0 of an array. Returns how many there were."""
    instructions = assemble(
        [
            load_map_fd(R1, ring_fd),
            load_function(R2, "record"),
            mov(R3, 0),
            mov(R4, 0),
            call(USER_RINGBUF_DRAIN),
            exit_(),
            # long record(struct bpf_dynptr *dynptr, void *context)
            store(Size.DW, R10, -8, 0).labelled("record"),
            mov(R3, R1),
            mov(R1, R10),
            add(R1, -8),
            mov(R2, 8),
            mov(R4, 0),
            mov(R5, 0),
            call(DYNPTR_READ),
            store(Size.W, R10, -12, 0),
            load_map_fd(R1, sums_fd),
            mov(R2, R10),
            add(R2, -12),
            call(LOOKUP),
            jump_if(JumpOp.EQ, R0, 0, "done"),
            load(Size.DW, R1, R10, -8),
            atomic(AtomicOp.ADD, Size.DW, R0, 0, R1),
            mov(R0, 0).labelled("done"),
            exit_(),
        ]
    )
    callback = next(slot for slot, ins in zip(slot_offsets(instructions), instructions) if "record" in ins.labels)
    builder = BtfBuilder()
    integer = builder.int_("int", 4, signed=True)
    functions = [
        (slot, builder.func(name, builder.func_proto(integer, [("a", builder.ptr()), *more])))
        for slot, name, more in ((0, "main", []), (callback, "record", [("b", builder.ptr())]))
    ]
    with btf_load(builder.to_bytes()) as btf:
        return prog_load(
            ProgramType.SOCKET_FILTER, encode(instructions), btf_fd=btf, func_info=encode_func_info(functions)
        )


def test_records_sent_by_python_reach_the_program() -> None:
    with contextlib.ExitStack() as stack:
        orders = stack.enter_context(UserRingBuffer(4096).create("orders"))
        sums = stack.enter_context(Array(value=u64, max_entries=1).create())
        program = stack.enter_context(drain_into(orders.fileno(), sums.fileno()))
        total = 0
        for _ in range(100):  # several times around the ring
            for number in range(10):
                assert orders.send(Order(number=number, amount=2))
                total += number
            assert orders.pending() == 10 * 24
            assert prog_test_run(program, PACKET).return_value == 10
            assert orders.pending() == 0
        assert sums[0] == total


def test_a_full_ring_takes_nothing_until_it_is_drained() -> None:
    with UserRingBuffer(4096).create() as orders, Array(value=u64, max_entries=1).create() as sums:
        sent = 0
        while orders.send(struct.pack("=Q", 1)):
            sent += 1
        assert sent == 4096 // 16
        with drain_into(orders.fileno(), sums.fileno()) as program:
            prog_test_run(program, PACKET)
        assert sums[0] == sent
        assert orders.wait(5)
        assert orders.send(struct.pack("=Q", 1))
        with pytest.raises(ValueError, match="never fits"):
            orders.send(bytes(4096))


def test_a_slot_whose_block_fails_is_never_seen() -> None:
    with UserRingBuffer(4096).create() as orders, Array(value=u64, max_entries=1).create() as sums:
        with pytest.raises(IndexError), orders.reserve(8) as slot:
            (slot or bytearray(9))[8] = 1
        with orders.reserve(8) as slot:
            assert slot is not None
            slot[:] = struct.pack("=Q", 5)
        with drain_into(orders.fileno(), sums.fileno()) as program:
            prog_test_run(program, PACKET)
        assert sums[0] == 5
        assert orders.pending() == 0


def test_draining_is_for_programs() -> None:
    with UserRingBuffer(4096).create() as orders, pytest.raises(OutsideProgram):
        orders.drain(print)


def live_arena(pages: int) -> Arena:
    try:
        return Arena(pages).create("shared")
    except KernelError as error:
        pytest.skip(f"no arena here (Linux 6.9): {error}")


def test_a_program_follows_a_pointer_that_python_made() -> None:
    with live_arena(4) as arena, Array(value=u64, max_entries=1).create() as where:
        arena.memory[4096:4104] = struct.pack("=Q", 41)
        where[0] = arena.address + 4096
        code = [
            load_map_fd(R6, arena.fileno()),
            store(Size.W, R10, -4, 0),
            load_map_fd(R1, where.fileno()),
            mov(R2, R10),
            add(R2, -4),
            call(LOOKUP),
            jump_if(JumpOp.EQ, R0, 0, "out"),
            load(Size.DW, R1, R0, 0),
            addr_space_cast(R1, R1, 0, 1),
            load(Size.DW, R2, R1, 0),
            add(R2, 1),
            store(Size.DW, R1, 0, R2),
            mov(R0, 0).labelled("out"),
            exit_(),
        ]
        with prog_load(ProgramType.SYSCALL, encode(assemble(code)), flags=1 << 4) as program:
            prog_test_run(program, repeat=0)  # programs of this type refuse a number of runs
        assert struct.unpack_from("=Q", arena.memory, 4096) == (42,)
        assert arena.offset_of(arena.address + 4096) == 4096
        assert arena.offset_of((arena.address + 4096) & 0xFFFFFFFF) == 4096
        with pytest.raises(ValueError, match="is no address in"):
            arena.offset_of(arena.address - 8)


def test_an_arena_has_a_size() -> None:
    with pytest.raises(ValueError, match="1 to 1048576 pages"):
        Arena(0)

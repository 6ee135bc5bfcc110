"""What a program may not do stops it with the kind, the instruction, the address and the registers."""

from __future__ import annotations

import pytest

from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R5,
    R6,
    R10,
    AtomicOp,
    Instruction,
    JumpOp,
    Register,
    Size,
    add,
    atomic,
    call,
    call_function,
    call_kfunc,
    call_register,
    exit_,
    jump,
    jump_if,
    jump_register,
    ld_abs,
    load,
    load_acquire,
    load_btf_id,
    load_function,
    load_imm64,
    load_map,
    load_map_fd,
    mov,
    mov32,
    neg,
    store,
    store_release,
    sub,
    to_be,
    xchg,
)
from pybpf.vm import FaultKind, Machine, VmFault, run

END = exit_()
K = FaultKind

FAULTS = {
    "load past the end": ([load(Size.W, R0, R1, 6), END], K.OUT_OF_BOUNDS, 0),
    "load before the start": ([load(Size.W, R0, R1, -1), END], K.OUT_OF_BOUNDS, 0),
    "store past the end": ([store(Size.B, R1, 8, 1), END], K.OUT_OF_BOUNDS, 0),
    "null": ([mov(R3, 0), load(Size.B, R0, R3, 8), END], K.NULL_POINTER, 1),
    "nowhere": ([load_imm64(R3, 0x1234_5678_9ABC), load(Size.B, R0, R3), END], K.UNMAPPED, 2),
    "beyond 64 bits": ([mov(R3, -1), load(Size.B, R0, R3, 8), END], K.NULL_POINTER, 1),
    "stack overflow": ([store(Size.DW, R10, -520, 1), END], K.STACK_OVERFLOW, 0),
    "above the stack": ([store(Size.DW, R10, 0, 1), END], K.OUT_OF_BOUNDS, 0),
    "half above the stack": ([store(Size.DW, R10, -4, 1), END], K.OUT_OF_BOUNDS, 0),
    "unaligned atomic": ([mov(R0, 1), atomic(AtomicOp.ADD, Size.DW, R1, 1, R0), END], K.UNALIGNED, 1),
    "unaligned exchange": ([mov(R0, 1), xchg(Size.W, R1, 2, R0), END], K.UNALIGNED, 1),
    "unaligned acquire": ([load_acquire(Size.H, R0, R1, 1), END], K.UNALIGNED, 0),
    "unaligned release": ([mov(R0, 1), store_release(Size.W, R1, 1, R0), END], K.UNALIGNED, 1),
    "mov of nothing": ([mov(R0, R3), END], K.UNINITIALISED_REGISTER, 0),
    "mov32 of nothing": ([mov32(R0, R3), END], K.UNINITIALISED_REGISTER, 0),
    "arithmetic on nothing": ([add(R3, 1), END], K.UNINITIALISED_REGISTER, 0),
    "arithmetic with nothing": ([mov(R0, 1), sub(R0, R3), END], K.UNINITIALISED_REGISTER, 1),
    "negation of nothing": ([neg(R3), END], K.UNINITIALISED_REGISTER, 0),
    "swap of nothing": ([to_be(R3, 16), END], K.UNINITIALISED_REGISTER, 0),
    "comparison of nothing": ([jump_if(JumpOp.EQ, R3, 0, 0), END], K.UNINITIALISED_REGISTER, 0),
    "comparison with nothing": ([jump_if(JumpOp.NE, R1, R3, 0), END], K.UNINITIALISED_REGISTER, 0),
    "signed comparison of nothing": ([jump_if(JumpOp.SLT, R3, R3, 0, bits=32), END], K.UNINITIALISED_REGISTER, 0),
    "load through nothing": ([load(Size.B, R0, R3), END], K.UNINITIALISED_REGISTER, 0),
    "store of nothing": ([store(Size.DW, R1, 0, R3), END], K.UNINITIALISED_REGISTER, 0),
    "exchange with nothing": ([xchg(Size.DW, R1, 0, R3), END], K.UNINITIALISED_REGISTER, 0),
    "result of nothing": ([END], K.UNINITIALISED_REGISTER, 0),
    "argument after a call": ([call(8), mov(R0, R1), END], K.UNINITIALISED_REGISTER, 1),
    "r6 of the caller": (
        [mov(R6, 1), call_function("f"), END, mov(R0, R6).labelled("f"), END],
        K.UNINITIALISED_REGISTER,
        3,
    ),
    "jump out": ([jump(5)], K.BAD_JUMP, 0),
    "jump before the start": ([mov(R0, 0), jump(-9)], K.BAD_JUMP, 1),
    "jump into ld_imm64": ([jump(1), load_imm64(R0, 1), END], K.BAD_JUMP, 0),
    "conditional jump out": ([jump_if(JumpOp.EQ, R2, 8, 99), END], K.BAD_JUMP, 0),
    "no exit": ([mov(R0, 0)], K.FELL_OFF, 1),
    "write to r10": ([mov(R10, 0), END], K.BAD_REGISTER, 0),
    "load to r10": ([load(Size.DW, R10, R1), END], K.BAD_REGISTER, 0),
    "r11": ([mov(Register.R11, 0), END], K.BAD_REGISTER, 0),
    "unknown helper": ([call(9999), END], K.UNKNOWN_HELPER, 0),
    "unknown kernel function": ([call_kfunc("bpf_nothing"), END], K.UNKNOWN_HELPER, 0),
    "kernel variable": ([load_btf_id(R1, 1), END], K.UNMAPPED, 0),
    "unknown map": ([load_map(R1, "nothing"), END], K.UNKNOWN_MAP, 0),
    "unknown descriptor": ([load_map_fd(R1, 3), END], K.UNKNOWN_MAP, 0),
    "no map": ([mov(R2, R1), call(1), END], K.BAD_ARGUMENT, 1),
    "helper without its arguments": ([mov(R1, 0), load_imm64(R2, 0), call(2), END], K.UNINITIALISED_REGISTER, 3),
    "callx nowhere": ([load_imm64(R5, 0x7777_7777), call_register(R5), END], K.BAD_CALL, 2),
    "gotox into ld_imm64": (
        [load_function(R5, "f"), add(R5, 8), jump_register(R5), load_imm64(R0, 1).labelled("f"), END],
        K.BAD_CALL,
        3,
    ),
    "call of the program's code": (
        [load_function(R5, "f").labelled("f"), load(Size.B, R0, R5), END],
        K.OUT_OF_BOUNDS,
        2,
    ),
    "packet load without a packet": ([mov(R6, R1), ld_abs(Size.B, 0), END], K.BAD_ARGUMENT, 1),
    "endless loop": ([mov(R0, 0), jump(-1)], K.INSTRUCTION_LIMIT, 1),
    "endless recursion": (
        [mov(R0, 0), call_function("f"), END, call_function("f").labelled("f"), END],
        K.CALL_DEPTH,
        3,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_stops_with_a_fault(name: str) -> None:
    program, kind, slot = FAULTS[name]
    with pytest.raises(VmFault) as caught:
        run(program, bytes(8), instruction_limit=10_000)
    assert (caught.value.kind, caught.value.slot) == (kind, slot), str(caught.value)


def test_a_fault_carries_what_led_to_it() -> None:
    with pytest.raises(VmFault) as caught:
        run([mov(R0, 7), load(Size.W, R0, R1, 6), END], bytes(8))
    fault = caught.value
    assert fault.instruction == "r0 = *(u32 *)(r1 +6)"
    assert fault.registers[0] == 7
    assert fault.registers[2] == 8
    assert fault.registers[3] is None
    assert fault.address == (fault.registers[1] or 0) + 6
    assert str(fault).startswith("instruction 1 (r0 = *(u32 *)(r1 +6)): an access leaves its memory: 4 bytes at ")
    assert str(fault).endswith("6 bytes into memory of 8")


def test_memory_that_may_not_be_written() -> None:
    machine = Machine([store(Size.B, R1, 0, 1), END])
    with pytest.raises(VmFault) as caught:
        machine.run(machine.memory.add(b"constant", "constants").address)
    assert caught.value.kind is FaultKind.READ_ONLY


def test_unaligned_accesses_are_a_fault_when_asked_for() -> None:
    program = [mov(R0, 0), store(Size.W, R10, -6, 1), END]
    assert run(program) == 0
    with pytest.raises(VmFault) as caught:
        Machine(program, strict_alignment=True).run()
    assert caught.value.kind is FaultKind.UNALIGNED


def test_a_stack_of_a_returned_function_is_gone() -> None:
    program = [call_function("f"), load(Size.B, R0, R0), END, mov(R0, R10).labelled("f"), add(R0, -1), END]
    with pytest.raises(VmFault) as caught:
        run(program)
    assert caught.value.kind is FaultKind.UNMAPPED


def test_stacks_of_waiting_functions_are_there() -> None:
    body = [store(Size.DW, R10, -8, 5), mov(R1, R10), call_function("f"), END]
    assert run([*body, load(Size.DW, R0, R1, -8).labelled("f"), END]) == 5


def test_bytes_that_are_no_program() -> None:
    with pytest.raises(VmFault) as caught:
        run(bytes(7))
    assert caught.value.kind is FaultKind.NOT_A_PROGRAM
    with pytest.raises(VmFault) as caught:
        run(bytes.fromhex("b700000000000000 ff00000000000000"))
    assert (caught.value.kind, caught.value.slot) == (FaultKind.NOT_A_PROGRAM, 1)


def test_an_exception_of_a_helper_is_a_fault() -> None:
    def broken(machine: Machine, value: int) -> int:
        return value // 0

    with pytest.raises(VmFault) as caught:
        run([call(77), END], bytes(8), helpers={77: broken})
    assert caught.value.kind is FaultKind.HELPER_FAILED
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_machine_goes_on_after_a_fault() -> None:
    machine = Machine([mov(R0, 3), jump_if(JumpOp.EQ, R1, 0, 1), END, load(Size.B, R0, R1), END])
    with pytest.raises(VmFault):
        machine.run(0)
    assert machine.run(1) == 3


def test_instructions_that_are_never_reached_do_no_harm() -> None:
    assert run([mov(R0, 1), END, Instruction(mov(R10, 0).opcode, 10)]) == 1

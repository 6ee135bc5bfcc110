"""Encoding and decoding are inverse to each other over the whole instruction set, and refuse what is not in it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.asm import (
    R0,
    R1,
    R2,
    AluOp,
    AsmError,
    Instruction,
    JumpOp,
    OpCode,
    Size,
    call_function,
    decode,
    encode,
    exit_,
    jump,
    jump_if,
    load,
    load_imm64,
    load_map,
    mov,
    sdiv,
    to_be,
)
from pybpf.asm.isa import DST, IMM, OFFSET, SRC, Form, forms

_FORMS = sorted(forms().values(), key=lambda form: form.opcode)
_WIDE = 0x18


def instructions_of(form: Form) -> st.SearchStrategy[Instruction]:
    """Any instruction of one operation."""
    registers = st.integers(0, 11)
    zero = st.just(0)
    bits = 63 if form.opcode == _WIDE else 31
    return st.builds(
        Instruction,
        st.just(form.opcode),
        registers if form.fields & DST else zero,
        st.sampled_from(form.kinds) if form.kinds else (registers if form.fields & SRC else zero),
        st.integers(-0x8000, 0x7FFF) if form.fields & OFFSET else zero,
        st.integers(-(1 << bits), (1 << bits) - 1) if form.fields & IMM else zero,
    )


def decoded(data: bytes, byteorder: str = sys.byteorder) -> tuple[tuple[Instruction, ...], AsmError | None]:
    """The program in ``data``, or why it is none."""
    try:
        return decode(data, byteorder=byteorder), None
    except AsmError as error:
        return (), error


programs = st.lists(st.sampled_from(_FORMS).flatmap(instructions_of), max_size=30)


@pytest.mark.parametrize("form", _FORMS, ids=lambda form: f"{int(form.opcode):#04x}")
def test_every_operation_survives_encoding(form: Form) -> None:
    fields = form.fields
    ins = Instruction(
        form.opcode,
        3 if fields & DST else 0,
        form.kinds[-1] if form.kinds else (7 if fields & SRC else 0),
        -2 if fields & OFFSET else 0,
        -3 if fields & IMM else 0,
    )
    assert decode(encode([ins])) == (ins,)


@given(programs, st.sampled_from(["little", "big"]))
def test_programs_survive_encoding(program: list[Instruction], byteorder: str) -> None:
    data = encode(program, byteorder=byteorder)
    assert len(data) == 8 * sum(ins.slots for ins in program)
    assert decode(data, byteorder=byteorder) == tuple(program)


@given(st.binary(max_size=64))
def test_bytes_are_a_program_or_an_error(data: bytes) -> None:
    program, error = decoded(data)
    if error is None:
        assert encode(program) == data
    else:
        assert error.index is not None
        assert 0 <= error.index <= len(data) // 8


@given(st.integers(0, 255), st.integers(0, 255), st.sampled_from([0, 1, 8, 16, 32, -1]), st.integers(0, 0x111))
def test_single_instructions_are_decoded_exactly_or_refused(op: int, registers: int, offset: int, imm: int) -> None:
    data = bytes([op, registers]) + offset.to_bytes(2, "little", signed=True) + imm.to_bytes(4, "little")
    program, error = decoded(data, "little")
    if error is None:
        assert encode(program, byteorder="little") == data
    else:
        assert error.index == 0


def test_big_endian_hosts_exchange_registers_and_byte_order() -> None:
    ins = load(Size.W, R1, R2, 4)
    assert encode([ins], byteorder="little") == bytes.fromhex("6121040000000000")
    assert encode([ins], byteorder="big") == bytes.fromhex("6112000400000000")


def test_a_wide_immediate_takes_two_slots() -> None:
    ins = load_imm64(R1, 0x1234_5678_9ABC_DEF0)
    assert ins.slots == 2
    assert encode([ins], byteorder="little") == bytes.fromhex("18010000f0debc9a 0000000078563412")


@pytest.mark.parametrize(
    ("ins", "reason"),
    [
        (Instruction(OpCode(0xFF)), "opcode 0xff"),
        (Instruction(OpCode(AluOp.MOVSX8 | 0x07), R1), "opcode"),
        (Instruction(mov(R1, R2).opcode, 12, 2), "dst is 12"),
        (Instruction(mov(R1, R2).opcode, 1, -1), "src is -1"),
        (Instruction(mov(R1, R2).opcode, 1, 2, imm=3), "imm is 3"),
        (Instruction(mov(R1, 5).opcode, 1, 2), "src is 2"),
        (Instruction(mov(R1, 5).opcode, 1, imm=1 << 31), "imm is 2147483648"),
        (Instruction(jump(0).opcode, offset=0x8000), "offset is 32768"),
        (Instruction(exit_().opcode, dst=1), "dst is 1"),
        (Instruction(exit_().opcode, offset=1), "offset is 1"),
        (Instruction(load_imm64(R1, 0).opcode, 1, 7), "kind 7"),
        (Instruction(load_imm64(R1, 0).opcode, 1, imm=1 << 63), "64 bits"),
        (Instruction(call_function("f").opcode, 0, 3), "kind 3"),
        (jump_if(JumpOp.EQ, R0, 0, "nowhere"), "label 'nowhere'"),
        (load_map(R1, "calls"), "calls"),
    ],
)
def test_what_does_not_exist_cannot_be_encoded(ins: Instruction, reason: str) -> None:
    with pytest.raises(AsmError) as caught:
        encode([exit_(), ins])
    assert caught.value.index == 1
    assert reason in caught.value.reason
    assert str(caught.value).startswith("instruction 1: ")


@pytest.mark.parametrize(
    ("code", "index", "reason"),
    [
        ("95000000000000", 0, "7 bytes"),
        ("9500000000000000 1801000000000000", 1, "cut short"),
        ("1801000000000000 0100000000000000", 1, "reserved"),
        ("9501000000000000", 0, "dst is 1"),
        ("bfc1000000000000", 0, "src is 12"),
        ("b701010000000000", 0, "offset is 1"),
        ("3701020000000000", 0, "opcode"),
        ("db21000002000000", 0, "opcode"),
        ("dc01000021000000", 0, "opcode"),
        ("8530000001000000", 0, "kind 3"),
        ("1800000000000000 0000000000000000 9501000000000000", 2, "dst is 1"),
        ("9500000000000000 1870000000000000 0000000000000000", 1, "kind 7"),
    ],
)
def test_what_is_no_program_cannot_be_decoded(code: str, index: int, reason: str) -> None:
    with pytest.raises(AsmError) as caught:
        decode(bytes.fromhex(code), byteorder="little")
    assert caught.value.index == index
    assert reason in caught.value.reason


def test_operations_beyond_a_byte_keep_their_bits_out_of_the_operands() -> None:
    assert encode([sdiv(R1, 3)], byteorder="little") == bytes.fromhex("3701010003000000")
    assert sdiv(R1, 3).offset == 0
    assert sdiv(R1, 3).opcode.alu_op is AluOp.SDIV
    assert to_be(R1, 32).imm == 0
    assert to_be(R1, 32).opcode.swap_bits == 32

"""Line and function information has the layout of the kernel's headers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.asm import R0, R1, Instruction, SourceLine, assemble, call_function, exit_, load_imm64, mov
from pybpf.btf import Btf, BtfBuilder, BtfError, FuncInfo, LineInfo, encode_func_info, encode_line_info, line_info_of

FIRST = SourceLine("programs/trace.py", 10, 5, "    value = 1")
SECOND = SourceLine("programs/trace.py", 11, 9, "    return value")


def lines_of(builder: BtfBuilder, data: bytes) -> list[tuple[int, str, str, int, int]]:
    btf = Btf(builder.to_bytes())
    return [
        (slot, btf.string(file), btf.string(text), where >> 10, where & 0x3FF)
        for slot, file, text, where in struct.iter_unpack("=IIII", data)
    ]


def test_a_line_has_sixteen_bytes() -> None:
    data = encode_line_info([LineInfo(0, 1, 7, 31, 5), (4, 1, 9, 32, 0)])
    assert data == struct.pack("=IIIIIIII", 0, 1, 7, 31 << 10 | 5, 4, 1, 9, 32 << 10)


def test_a_function_has_eight_bytes() -> None:
    assert encode_func_info([FuncInfo(0, 3), (7, 5)]) == struct.pack("=IIII", 0, 3, 7, 5)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_columns_never_change_lines(line: int, column: int) -> None:
    (_, _, _, where) = struct.unpack("=IIII", encode_line_info([LineInfo(0, 0, 0, line, column)]))
    assert where >> 10 == min(line, (1 << 22) - 1)
    assert where & 0x3FF == min(column, 1023)


@pytest.mark.parametrize("slots", [(0, 0), (3, 2)])
def test_slots_ascend(slots: tuple[int, int]) -> None:
    with pytest.raises(BtfError, match="slot"):
        encode_line_info([LineInfo(slot, 0, 0, 1) for slot in slots])
    with pytest.raises(BtfError, match="slot"):
        encode_func_info([FuncInfo(slot, 1) for slot in slots])


def test_functions_begin_at_slot_zero() -> None:
    with pytest.raises(BtfError, match="slot 1"):
        encode_func_info([FuncInfo(1, 1)])


def test_the_lines_of_a_program_come_from_its_instructions() -> None:
    builder = BtfBuilder()
    program = [mov(R0, 1).at(FIRST), load_imm64(R1, 5).at(FIRST), mov(R0, R1).at(SECOND), exit_()]
    assert lines_of(builder, line_info_of(builder, program)) == [
        (0, "programs/trace.py", "    value = 1", 10, 5),
        (3, "programs/trace.py", "    return value", 11, 9),
    ]


def test_each_function_has_a_line_of_its_own() -> None:
    builder = BtfBuilder()
    program = assemble(
        [call_function("f").at(FIRST), exit_().at(SECOND), mov(R0, 0).labelled("f").at(SECOND), exit_().at(SECOND)]
    )
    slots = [line[0] for line in lines_of(builder, line_info_of(builder, program, {0, 2}))]
    assert slots == [0, 1, 2]


def test_code_without_a_source_belongs_to_the_first_line_known() -> None:
    builder = BtfBuilder()
    program: list[Instruction] = [mov(R0, 0), mov(R1, 0).at(SECOND), exit_()]
    assert [line[:1] + line[3:4] for line in lines_of(builder, line_info_of(builder, program))] == [(0, 11)]
    assert line_info_of(builder, [mov(R0, 0), exit_()]) == b""

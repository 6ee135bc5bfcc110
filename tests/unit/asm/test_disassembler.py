"""Listings read like the verifier's log, with the Python lines they come from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.asm import (
    R0,
    R1,
    AsmError,
    JumpOp,
    Size,
    SourceLine,
    assemble,
    call_function,
    disassemble,
    encode,
    exit_,
    format_instruction,
    helper_name,
    jump,
    jump_if,
    jump_long,
    load,
    load_function,
    load_imm64,
    mov,
)
from pybpf.asm.instruction import Instruction
from pybpf.asm.isa import Form, forms


def test_source_lines_and_labels_stand_before_their_instructions() -> None:
    first = SourceLine("trace.py", 3, 5, "    value = ctx.value")
    second = SourceLine("trace.py", 4, 5, "    return value")
    program = [
        load(Size.DW, R0, R1).at(first),
        jump_if(JumpOp.EQ, R0, 0, "out").at(first),
        load_imm64(R0, 5),
        exit_().labelled("out").at(second),
    ]
    assert disassemble(assemble(program)) == (
        "; value = ctx.value @ trace.py:3\n"
        "   0: (79) r0 = *(u64 *)(r1 +0)\n"
        "   1: (15) if r0 == 0x0 goto pc+2 <out>\n"
        "   2: (18) r0 = 0x5\n"
        "out:\n"
        "; return value @ trace.py:4\n"
        "   4: (95) exit\n"
    )
    assert "goto out\n" in disassemble(program)


def test_bytes_are_listed_without_names() -> None:
    program = assemble([mov(R0, 0), jump("out"), exit_().labelled("out")])
    assert disassemble(encode(program)) == "   0: (b7) r0 = 0\n   1: (05) goto pc+0\n   2: (95) exit\n"


def test_bytes_that_are_no_program_are_an_error() -> None:
    with pytest.raises(AsmError):
        disassemble(b"\xff" * 8)


def test_an_empty_program_has_an_empty_listing() -> None:
    assert disassemble([]) == ""


def test_all_that_goes_somewhere_shows_the_label_it_goes_to() -> None:
    goers = [jump("f"), jump_long("f"), call_function("f"), load_function(R1, "f"), jump_if(JumpOp.NE, R1, R0, "f")]
    listing = disassemble(assemble([*goers, exit_().labelled("f")]))
    assert listing.count("<f>") == len(goers)


@pytest.mark.parametrize("form", forms().values(), ids=lambda form: f"{int(form.opcode):#04x}")
@given(data=st.data())
def test_every_operation_has_a_text(form: Form, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(form.kinds)) if form.kinds else 2
    text = format_instruction(Instruction(form.opcode, 1, kind, 3, 4))
    assert text
    assert "None" not in text


def test_texts_of_different_operations_differ() -> None:
    texts = [format_instruction(Instruction(form.opcode, 1, 2, 3, 4)) for form in forms().values()]
    assert len(set(texts)) == len(texts)


def test_helpers_have_the_names_of_the_kernel() -> None:
    assert helper_name(1) == "bpf_map_lookup_elem"
    assert helper_name(112) == "bpf_probe_read_user"
    assert helper_name(131) == "bpf_ringbuf_reserve"
    assert helper_name(211) == "bpf_cgrp_storage_delete"
    assert helper_name(212) is None
    assert helper_name(-1) is None

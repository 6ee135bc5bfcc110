"""Labels become distances, far jumps long ones, and names numbers."""

from __future__ import annotations

from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.asm import (
    R0,
    R1,
    AsmError,
    Instruction,
    JumpOp,
    KfuncReference,
    MapReference,
    Reference,
    SourceLine,
    add,
    assemble,
    bind,
    call_function,
    call_kfunc,
    exit_,
    jump,
    jump_if,
    jump_long,
    load_function,
    load_imm64,
    load_map,
    load_map_value,
    may_goto,
    mov,
    slot_offsets,
)


def destination(program: tuple[Instruction, ...], index: int) -> int:
    """The slot that the jump at ``index`` goes to."""
    ins = program[index]
    distance = ins.imm if ins.opcode == jump_long(0).opcode or ins.is_call else ins.offset
    if ins.is_wide:
        assert 0 <= ins.imm < 1 << 32, "the kernel wants the second half to be zero"
        distance = (ins.imm ^ 1 << 31) - (1 << 31)
    return slot_offsets(program)[index] + 1 + distance


def test_labels_count_slots_forwards_and_backwards() -> None:
    program = assemble(
        [
            mov(R0, 0).labelled("again"),
            jump_if(JumpOp.EQ, R1, 0, "out"),
            load_imm64(R0, 1),
            jump("again"),
            exit_().labelled("out"),
        ]
    )
    assert program[1].offset == 3
    assert program[3].offset == -5
    assert all(ins.target is None for ins in program)


def test_functions_are_relative_to_the_first_slot_of_who_refers_to_them() -> None:
    program = assemble([load_function(R1, "each"), call_function("each"), exit_(), exit_().labelled("each")])
    assert program[0].imm == 3
    assert program[1].imm == 1


def test_source_and_labels_outlive_assembling() -> None:
    line = SourceLine("trace.py", 1)
    program = assemble([jump("x").labelled("start").at(line), exit_().labelled("x")])
    assert program[0].source is line
    assert program[0].labels == ("start",)
    assert assemble(program) == program


def test_a_missing_label_is_an_error_at_its_user() -> None:
    with pytest.raises(AsmError, match="'nowhere' is not defined") as caught:
        assemble([exit_(), jump("nowhere")])
    assert caught.value.index == 1


def test_a_label_defined_twice_is_an_error_at_the_second() -> None:
    with pytest.raises(AsmError, match="'x' is defined twice") as caught:
        assemble([exit_().labelled("x"), exit_().labelled("x")])
    assert caught.value.index == 1


def test_a_label_on_what_goes_nowhere_is_an_error() -> None:
    with pytest.raises(AsmError, match="takes no label"):
        assemble([Instruction(mov(R0, 0).opcode, target="x").labelled("x")])


def test_a_far_goto_becomes_a_long_one() -> None:
    near = assemble([jump("out"), *[mov(R0, 0)] * 0x7FFF, exit_().labelled("out")])
    assert near[0] == jump(0x7FFF)
    far = assemble([jump("out"), *[mov(R0, 0)] * 0x8000, exit_().labelled("out")])
    assert far[0] == jump_long(0x8000)
    assert len(far) == 0x8002


@pytest.mark.parametrize("op", [op for op in JumpOp if op.is_comparison])
def test_a_far_conditional_jump_becomes_its_opposite_around_a_long_one(op: JumpOp) -> None:
    line = SourceLine("trace.py", 1)
    body = [mov(R0, 0)] * 0x8000
    program = assemble([jump_if(op, R1, 7, "out").labelled("start").at(line), *body, exit_().labelled("out")])
    head = program[: len(program) - len(body) - 1]
    assert head[0].labels == ("start",)
    assert all(ins.source is line for ins in head)
    assert destination(program, len(head) - 1) == len(program) - 1
    if op.inverse is not None:
        assert head[:-1] == (jump_if(op.inverse, R1, 7, 1),)
    else:
        assert head[:-1] == (jump_if(op, R1, 7, 1), jump(1))


def test_a_far_may_goto_keeps_its_sense() -> None:
    program = assemble([may_goto("out"), *[mov(R0, 0)] * 0x8000, exit_().labelled("out")])
    assert program[:2] == (may_goto(1), jump(1))
    assert destination(program, 2) == len(program) - 1


def test_rewriting_one_jump_can_push_another_too_far() -> None:
    program = assemble(
        [
            jump_if(JumpOp.EQ, R1, 0, "first"),
            jump_if(JumpOp.EQ, R1, 1, "second"),
            *[mov(R0, 0)] * 0x7FFE,
            exit_().labelled("first"),
            add(R0, 1),
            exit_().labelled("second"),
        ]
    )
    slots = {label: slot for ins, slot in zip(program, slot_offsets(program)) for label in ins.labels}
    assert program[0] == jump_if(JumpOp.NE, R1, 0, 1)
    assert destination(program, 1) == slots["first"]
    assert program[2] == jump_if(JumpOp.NE, R1, 1, 1)
    assert destination(program, 3) == slots["second"]


def test_far_jumps_cannot_be_rewritten_around_jumps_by_number() -> None:
    with pytest.raises(AsmError, match="give it a label") as caught:
        assemble([jump_if(JumpOp.EQ, R1, 0, "out"), jump(5), *[mov(R0, 0)] * 0x8000, exit_().labelled("out")])
    assert caught.value.index == 1


@given(st.lists(st.tuples(st.sampled_from(["jump", "if", "call", "wide", "plain"]), st.integers(0, 50)), min_size=1))
def test_every_label_is_reached_exactly(shape: list[tuple[str, int]]) -> None:
    make: dict[str, Callable[[str], Instruction]] = {
        "jump": jump,
        "if": lambda label: jump_if(JumpOp.NE, R1, R0, label),
        "call": call_function,
        "wide": lambda label: load_function(R1, label),
        "plain": lambda label: load_imm64(R1, 1),
    }
    wanted = [number % len(shape) for _, number in shape]
    program = assemble(
        [make[kind](f"L{goal}").labelled(f"L{index}") for index, ((kind, _), goal) in enumerate(zip(shape, wanted))]
    )
    slots = slot_offsets(program)
    for index, ((kind, _), goal) in enumerate(zip(shape, wanted)):
        if kind != "plain":
            assert destination(program, index) == slots[goal]


def test_binding_asks_for_each_reference() -> None:
    asked: list[Reference] = []

    def resolve(reference: Reference) -> int | tuple[int, int]:
        asked.append(reference)
        if isinstance(reference, KfuncReference):
            return (4711, 2) if reference.name == "of_a_module" else 815
        return 7

    program = bind(
        [load_map(R1, "calls"), load_map_value(R1, "state", 12), call_kfunc("of_vmlinux"), call_kfunc("of_a_module")],
        resolve,
    )
    assert [reference.name for reference in asked] == ["calls", "state", "of_vmlinux", "of_a_module"]
    assert program[0].imm == 7
    assert program[1].imm == 7 | 12 << 32
    assert (program[2].imm, program[2].offset) == (815, 0)
    assert (program[3].imm, program[3].offset) == (4711, 2)
    assert all(ins.reference is None for ins in program)


def test_only_kernel_functions_live_in_modules() -> None:
    with pytest.raises(AsmError, match="one number"):
        bind([load_map(R1, "calls")], lambda _: (1, 2))
    assert MapReference("calls") == load_map(R1, "calls").reference

"""The oldest kernel a program runs on, by all that it uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybpf.asm import (
    R0,
    R1,
    R2,
    R10,
    AtomicOp,
    Instruction,
    JumpOp,
    Size,
    add,
    assemble,
    atomic,
    call,
    call_function,
    call_kfunc,
    exit_,
    jump_if,
    load,
    load_map,
    load_map_value,
    mov,
    movsx,
    store,
)
from pybpf.kernel.constants import AttachType, MapFlag, ProgramType
from pybpf.kernel.helper_since import helper_since
from pybpf.lang import helpers
from pybpf.lang.compile import compile_function
from pybpf.lang.surface import kernel_call
from pybpf.maps import Array, RingBuffer
from pybpf.program import ProgramSpec
from pybpf.tools.needs import needs_of, newest, stack_of, version
from pybpf.tools.objects import instance, read_definitions
from pybpf.types import u64

ROOT = Path(__file__).parents[3]
MAPS = {
    "ring": RingBuffer(4096, name="ring"),
    "plain": Array(value=u64, max_entries=1, name="plain"),
    "mapped": Array(value=u64, max_entries=1, flags=MapFlag.MMAPABLE, name="mapped"),
}
END = [mov(R0, 0), exit_()]


def spec(*code: Instruction, kind: ProgramType = ProgramType.SOCKET_FILTER, **more: AttachType) -> ProgramSpec:
    return ProgramSpec("test", kind, assemble([*code, *END]), **more)


@pytest.mark.parametrize(
    ("program", "since", "what"),
    [
        (spec(), "3.19", "socket_filter programs"),
        (spec(kind=ProgramType.SYSCALL), "5.14", "syscall programs"),
        (spec(kind=ProgramType.KPROBE, attach_type=AttachType.TRACE_UPROBE_MULTI), "6.6", "attach type"),
        (spec(load_map(R1, "ring")), "5.8", "ringbuf map ring"),
        (spec(load_map(R1, "plain")), "3.19", "array map plain"),
        (spec(load_map(R1, "mapped")), "5.5", "map flag MMAPABLE of mapped"),
        (spec(load_map_value(R1, "plain")), "5.2", "addresses of map values"),
        (spec(call(5)), "4.1", "bpf_ktime_get_ns"),
        (spec(call(181)), "5.17", "bpf_loop"),
        (spec(call_kfunc("bpf_session_is_return")), "6.13", "bpf_session_is_return"),
        (spec(call_kfunc("some_kfunc")), "5.13", "some_kfunc"),
        (spec(movsx(R1, R2, bits=8)), "6.6", "instruction r1 = (s8)r2"),
        (spec(atomic(AtomicOp.ADD, Size.DW, R10, -8, R1)), "3.19", "socket_filter programs"),
        (spec(atomic(AtomicOp.ADD, Size.DW, R10, -8, R1, fetch=True)), "5.12", "instruction r1 = atomic64_fetch_add"),
        (spec(jump_if(JumpOp.LT, R1, 5, "end"), mov(R1, 0).labelled("end")), "4.14", "instruction if r1 < 0x5"),
        (
            spec(jump_if(JumpOp.EQ, R1, 5, "end", bits=32), mov(R1, 0).labelled("end")),
            "5.1",
            "instruction if w1 == 0x5",
        ),
        (spec(mov(R1, 0).labelled("again"), jump_if(JumpOp.EQ, R1, 5, "again")), "5.3", "a loop"),
        (spec(call_function("f"), *END, mov(R0, 1).labelled("f")), "4.16", "functions of the program"),
        (spec(*[mov(R0, 0)] * 4096), "5.2", "more than 4096 instructions"),
    ],
)
def test_the_newest_thing_decides(program: ProgramSpec, since: str, what: str) -> None:
    needs = needs_of(program, MAPS)
    assert needs.minimum_kernel == since
    assert any(reason.since == since and what in reason.what for reason in needs.reasons), needs.reasons


def test_versions_are_no_text() -> None:
    old, new = needs_of(spec(load_map(R1, "ring")), MAPS), needs_of(spec(call(156)), MAPS)
    assert (old.minimum_kernel, new.minimum_kernel) == ("5.8", "5.11")
    assert newest([old, new]) == newest([new, old]) == "5.11"
    assert version("5.10") > version("5.9")


def test_the_stack_counts_accesses_and_addresses() -> None:
    assert stack_of(assemble(END)) == 0
    assert stack_of(assemble([store(Size.DW, R10, -24, 0), *END])) == 24
    assert stack_of(assemble([load(Size.W, R1, R10, -12), *END])) == 12
    assert stack_of(assemble([mov(R2, R10), add(R2, -40), *END])) == 40
    assert stack_of(assemble([mov(R2, R10), mov(R2, R1), add(R2, -40), *END])) == 0
    assert stack_of(assemble([store(Size.DW, R1, -24, 0), *END])) == 0


@pytest.mark.parametrize("file", ["examples/count_packets.py", "programs/ca_filter.py"])
def test_the_stack_is_what_the_compiler_laid_out(file: str) -> None:
    for cls in read_definitions(ROOT / file).classes:
        blueprint = instance(cls, {})
        for hook in cls._programs.values():
            compiled = compile_function(hook.function, blueprint.attribute)
            assert 0 <= compiled.stack - stack_of(compiled.instructions) < 8


def test_the_table_agrees_with_what_each_helper_declares() -> None:
    declared = [found for found in map(kernel_call, vars(helpers).values()) if found and found.helper is not None]
    assert len(declared) > 10
    for found in declared:
        assert found.helper is not None
        assert helper_since(found.helper) == found.since, found.name


def test_there_is_no_helper_beyond_the_list() -> None:
    assert (helper_since(1), helper_since(3), helper_since(4), helper_since(211)) == ("3.19", "3.19", "4.1", "6.2")
    for number in (0, -1, 212):
        with pytest.raises(ValueError, match="no BPF helper"):
            helper_since(number)

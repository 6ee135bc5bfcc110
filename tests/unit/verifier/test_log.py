"""The verifier's log, in every layout that kernels have written it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.asm import R0, R1, R2, R10, SourceLine, add, assemble, call, exit_, load, load_map_fd, mov, store
from pybpf.asm import Size as AccessSize
from pybpf.errors import ProgramRejected
from pybpf.verifier import VerifierError, advice_for
from pybpf.verifier_log import parse_log, split_state

LINUX_6_18 = """\
0: R1=ctx() R10=fp0
; call = self.open_calls.lookup(key) @ trace.py:11
0: (62) *(u32 *)(r10 -4) = 0          ; R10=fp0 fp-8=0000????
1: (18) r1 = 0xffff8881065ac400       ; R1=map_ptr(map=calls,ks=4,vs=8)
3: (bf) r2 = r10                      ; R2=fp0 R10=fp0
4: (07) r2 += -4                      ; R2=fp-4
5: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=calls,ks=4,vs=8)
; call.depth += 1 @ trace.py:12
6: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

LINUX_5_10 = """\
Unrecognized arg#0 type PTR
0: R1=ctx(id=0,off=0,imm=0) R10=fp0
; call = self.open_calls.lookup(key)
0: (62) *(u32 *)(r10 -4) = 0
1: (18) r1 = 0xffff888003c3d000
3: (bf) r2 = r10
4: (07) r2 += -4
5: (85) call bpf_map_lookup_elem#1
6: R0_w=map_value_or_null(id=1,off=0,ks=4,vs=8,imm=0) R10=fp0 fp-8=????mmmm
; call.depth += 1
6: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

LINUX_7_3 = """\
0: R1=ctx() R10=fp0
0: (95) exit
R0 !read_ok

Verification failed: Register Type Safety: Unreadable register

Reason:
  R0 has never been initialized on this path, so the verifier cannot use it as an input.

At:
  insn 0
        | ^-- error: R0 is not readable
  Instruction context:
  >>> 0 | (95) exit

Causal path:
  no retained diagnostic events on this path

Suggestion:
  Initialize R0 on every path before this instruction.

processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

ENDLESS = """\
0: R1=ctx() R10=fp0
0: (61) r6 = *(u32 *)(r1 +0)          ; R1=ctx() R6=scalar(smin=0,umax=0xffffffff,var_off=(0x0; 0xffffffff))
1: (b7) r1 = 0                        ; R1=0
2: (15) if r6 == 0x0 goto pc-2 1: R1=0 R6=0 R10=fp0
1: (b7) r1 = 0                        ; R1=0
2: (15) if r6 == 0x0 goto pc-2        ; R6=0
infinite loop detected at insn 1
cur state: R1=0 R6=0 R10=fp0
old state: R1=0 R6=P0 R10=fp0
processed 10 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0
"""

BRANCHES = """\
0: R1=ctx() R10=fp0
0: (b7) r6 = 1                        ; R6_w=1
1: (85) call pc+3
caller:
 R6=1 R10=fp0
callee:
 frame1: R1=ctx() R10=fp0
5: (b7) r0 = 0                        ; frame1: R0_w=0
6: (95) exit
returning from callee:
 frame1: R0_w=0 R1=ctx() R10=fp0
to caller at 2:
 R0_w=0 R6=1 R10=fp0
from 6 to 2: R0=0 R6=1 R10=fp0
2: (bf) r1 = r0                       ; R0=0 R1_w=0
3: (71) r0 = *(u8 *)(r1 +0)
R1 invalid mem access 'scalar'
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


@pytest.mark.parametrize("log", [LINUX_6_18, LINUX_5_10], ids=["6.18", "5.10"])
def test_the_place_the_reason_and_the_registers_of_a_rejection(log: str) -> None:
    found = parse_log(log)
    assert found.reason == "R0 invalid mem access 'map_value_or_null'"
    assert (found.instruction, found.text) == (6, "r1 = *(u64 *)(r0 +0)")
    assert found.registers["R0"].startswith("map_value_or_null(id=1,")
    assert found.registers["R10"] == "fp0"
    assert "fp-8" in found.registers
    assert "R1" not in found.registers, "the call before it left nothing there"
    assert found.source_text == "call.depth += 1"


def test_the_file_and_line_where_the_log_has_them() -> None:
    assert (parse_log(LINUX_6_18).file, parse_log(LINUX_6_18).line) == ("trace.py", 12)
    assert (parse_log(LINUX_5_10).file, parse_log(LINUX_5_10).line) == (None, None)


def test_the_report_of_7_3() -> None:
    found = parse_log(LINUX_7_3)
    assert found.reason == "R0 !read_ok"
    assert (found.instruction, found.text) == (0, "exit")
    assert found.explanation.startswith("R0 has never been initialized on this path")
    assert found.suggestion == "Initialize R0 on every path before this instruction."
    assert found.registers == {"R1": "ctx()", "R10": "fp0"}


def test_a_report_without_the_classic_lines() -> None:
    found = parse_log(LINUX_7_3.partition("R0 !read_ok\n")[2].replace("insn 0", "insn 4"))
    assert found.reason == "Register Type Safety: Unreadable register"
    assert found.instruction == 4


def test_the_instruction_that_the_reason_names() -> None:
    found = parse_log(ENDLESS)
    assert found.reason == "infinite loop detected at insn 1"
    assert found.instruction == 1
    assert found.registers["R6"] == "0"
    assert parse_log("unreachable insn 2\nprocessed 0 insns (limit 1000000)\n").instruction == 2


def test_a_new_path_starts_from_the_state_it_is_given() -> None:
    found = parse_log(BRANCHES)
    assert found.reason == "R1 invalid mem access 'scalar'"
    assert found.registers == {"R0": "0", "R1": "0", "R6": "1", "R10": "fp0"}


def test_several_lines_of_a_reason_are_all_kept() -> None:
    log = "7: (79) r1 = *(u64 *)(r0 +8)\ninvalid access to map value, value_size=8 off=8 size=8\nR0 min value is bad\n"
    assert parse_log(log).reason == "invalid access to map value, value_size=8 off=8 size=8; R0 min value is bad"


def test_blanks_inside_of_a_value_do_not_end_it() -> None:
    assert split_state("R0_w=scalar(umax=3,var_off=(0x0; 0x3)) R10=fp0 fp-16_r=mmmm????") == {
        "R0": "scalar(umax=3,var_off=(0x0; 0x3))",
        "R10": "fp0",
        "fp-16": "mmmm????",
    }


PIECES = st.lists(st.sampled_from([*(LINUX_6_18 + LINUX_7_3 + ENDLESS + BRANCHES).splitlines(), "", "Reason:"]))


@given(st.one_of(st.text(), PIECES.map("\n".join)))
def test_no_log_is_too_strange_to_read(log: str) -> None:
    found = parse_log(log)
    assert found.instruction is None or found.instruction >= 0
    assert all(name.startswith(("R", "fp-", "refs")) for name in found.registers)


SOURCE = SourceLine("trace.py", 12, 5, "        call.depth += 1\n")


def program_of_the_log() -> list[object]:
    return [
        store(AccessSize.W, R10, -4, 0),
        load_map_fd(R1, 3),
        mov(R2, R10),
        add(R2, -4),
        call(1),
        load(AccessSize.DW, R1, R0, 0).at(SOURCE),
        exit_(),
    ]


def test_the_error_points_at_the_python_line() -> None:
    rejected = ProgramRejected("load program process", 13, LINUX_6_18)
    error = VerifierError.from_rejection(rejected, "process", assemble(program_of_the_log()))  # type: ignore[arg-type]
    assert error.source == SOURCE, "slot 6 is the instruction after the ld_imm64, which takes two"
    assert (error.program, error.instruction) == ("process", 6)
    assert str(error).splitlines() == [
        "the verifier rejected process: R0 invalid mem access 'map_value_or_null'",
        '  File "trace.py", line 12',
        "    call.depth += 1",
        "  at instruction 6: r1 = *(u64 *)(r0 +0)",
        "  with R0=map_value_or_null(id=1,map=calls,ks=4,vs=8)",
        "  test it against None before using it",
        "  the verifier's whole log (11 lines) is in the attribute .log of this exception",
    ]


def test_without_instructions_the_log_itself_gives_the_line() -> None:
    error = VerifierError.from_rejection(ProgramRejected("load program x", 13, LINUX_6_18), "x")
    assert error.source == SourceLine("trace.py", 12, text="call.depth += 1")


def test_the_advice_of_the_kernel_goes_before_ours() -> None:
    error = VerifierError.from_rejection(ProgramRejected("load program x", 13, LINUX_7_3), "x")
    assert error.advice == "Initialize R0 on every path before this instruction."


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("R0 invalid mem access 'ringbuf_mem_or_null'", "None"),
        ("R3 !read_ok", "every path"),
        ("back-edge from insn 5 to 2", "bound"),
        ("BPF program is too large. Processed 1000001 insn", "shorter"),
        ("invalid access to packet, off=14 size=4, R2(id=0,off=14,r=0)", "packet's length"),
        ("combined stack size of 2 calls is 544. Too large", "512"),
        ("Unreleased reference id=2 alloc_insn=5", "discard"),
        ("unknown func bpf_loop#181", "helper"),
    ],
)
def test_well_known_reasons_come_with_advice(reason: str, word: str) -> None:
    assert word in advice_for(reason)


def test_an_unknown_reason_comes_without_advice() -> None:
    assert advice_for("frobnication is not allowed") == ""

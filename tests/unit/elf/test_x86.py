"""The decoder against objdump, against a table, and against arbitrary bytes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.elf.x86 import MAX_LENGTH, OpcodeMap, decode
from pybpf.elf.x86_effects import (
    branch_target,
    effects,
    is_emulated,
    is_endbr64,
    is_indirect_jump,
    is_nop,
    is_rewritten_nop,
    refusal,
)
from pybpf.elf.x86_text import text

LINE = re.compile(r"\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(?:\t(.*))?$")

# code, text, emulated, registers written (None: a probe must stay in front of it), bytes the stack moves down
TABLE = [
    ("f3 0f 1e fa", "endbr64", False, set(), 0),
    ("55", "push %rbp", True, None, 0),
    ("41 57", "push %r15", True, None, 0),
    ("48 55", ".byte 0x48,0x55", False, None, 0),
    ("ff 75 08", ".byte 0xff,0x75,0x08", False, None, 0),
    ("90", "nop", True, set(), 0),
    ("66 90", ".byte 0x66,0x90", True, set(), 0),
    ("f3 90", ".byte 0xf3,0x90", False, set(), 0),
    ("0f 1f 00", "nopl (%rax)", False, set(), 0),
    ("0f 1f 44 00 00", "nopl 0x0(%rax,%rax,1)", False, set(), 0),
    ("eb 0e", "jmp 1010", True, None, 0),
    ("e9 fb 0f 00 00", "jmp 2000", True, None, 0),
    ("e8 fb 0f 00 00", "call 2000", True, None, 0),
    ("74 17", "je 1019", True, None, 0),
    ("0f 84 bf 00 00 00", "je 10c5", True, None, 0),
    ("c3", "ret", False, None, 0),
    ("ff e0", ".byte 0xff,0xe0", False, None, 0),
    ("48 89 fd", "mov %rdi,%rbp", False, {5}, 0),
    ("48 89 5c 24 08", "mov %rbx,0x8(%rsp)", False, None, 0),
    ("8b 87 78 01 00 00", "mov 0x178(%rdi),%eax", False, {0}, 0),
    ("48 8b 05 f9 0f 00 00", "mov 0xff9(%rip),%rax        # 2000", False, {0}, 0),
    ("64 48 8b 04 25 28 00 00 00", "mov %fs:0x28,%rax", False, {0}, 0),
    ("89 e0", "mov %esp,%eax", False, {0}, 0),
    ("48 89 e5", "mov %rsp,%rbp", False, {5}, 0),
    ("48 89 ec", "mov %rbp,%rsp", False, None, 0),
    ("31 d2", "xor %edx,%edx", False, {2}, 0),
    ("85 ff", "test %edi,%edi", False, set(), 0),
    ("83 fe 24", "cmp $0x24,%esi", False, set(), 0),
    ("48 83 ec 08", "sub $0x8,%rsp", False, set(), 8),
    ("48 81 ec d8 00 00 00", "sub $0xd8,%rsp", False, set(), 0xD8),
    ("48 83 c7 08", "add $0x8,%rdi", False, {7}, 0),
    ("48 83 c4 08", "add $0x8,%rsp", False, set(), -8),
    ("48 83 e4 f0", "and $0xfffffffffffffff0,%rsp", False, None, 0),
    ("83 ec 08", "sub $0x8,%esp", False, None, 0),
    ("0f bf f6", "movswl %si,%esi", False, {6}, 0),
    ("b8 27 00 00 00", "mov $0x27,%eax", False, {0}, 0),
    ("b4 01", ".byte 0xb4,0x01", False, {0}, 0),
    ("40 b4 01", ".byte 0x40,0xb4,0x01", False, None, 0),
    ("4c 8d 05 00 00 00 00", "lea 0x0(%rip),%r8        # 1007", False, {8}, 0),
    ("66 0f ef c0", ".byte 0x66,0x0f,0xef,0xc0", False, set(), 0),
    ("0f 94 c4", ".byte 0x0f,0x94,0xc4", False, {0}, 0),
    ("c5 f8 77", ".byte 0xc5,0xf8,0x77", False, None, 0),
]


@pytest.mark.parametrize(("code", "shown", "emulated", "written", "stack"), TABLE, ids=[row[0] for row in TABLE])
def test_the_instructions_at_the_head_of_functions(
    code: str, shown: str, emulated: bool, written: set[int] | None, stack: int
) -> None:
    data = bytes.fromhex(code)
    instruction = decode(data + b"\x90" * 8)
    assert instruction is not None
    assert instruction.code == data
    assert text(instruction, 0x1000) == shown
    assert is_emulated(instruction) is emulated
    change = effects(instruction)
    assert (None if change is None else set(change.written)) == written
    assert (0 if change is None else change.stack) == stack


@pytest.mark.parametrize(
    "code",
    ["0f 1f 44 00 00", "0f 1f 44 90 10", "66 66 66 66 90", "66 0f 1f 40 00", "e9 00 00 00 00", "48 8d 74 26 00"],
)
def test_five_byte_nops_of_every_spelling_are_refused(code: str) -> None:
    instruction = decode(bytes.fromhex(code))
    assert instruction is not None
    assert is_rewritten_nop(instruction)
    assert "5-byte nop" in (refusal(instruction) or "")


@pytest.mark.parametrize(
    "code", ["e9 01 00 00 00", "0f 1f 40 00", "b8 00 00 00 00", "48 8d 74 26 01", "e8 00 00 00 00"]
)
def test_other_instructions_are_no_five_byte_nops(code: str) -> None:
    instruction = decode(bytes.fromhex(code))
    assert instruction is not None
    assert not is_rewritten_nop(instruction)
    assert refusal(instruction) is None


@pytest.mark.parametrize(
    "code", ["f0 48 01 07", "2e 66 0f 1f 84 00 00 00 00 00", "3e ff e0", "cc", "f4", "fa", "0f 0b", "0f 01 d0", "e4 10"]
)
def test_what_the_kernel_refuses_is_refused_here(code: str) -> None:
    instruction = decode(bytes.fromhex(code))
    assert instruction is not None
    assert refusal(instruction)


def test_pause_and_xchg_are_no_nops() -> None:
    for code in (b"\xf3\x90", b"\x41\x90", b"\x49\x90", b"\x89\xff", b"\x48\x8d\x47\x00"):
        instruction = decode(code)
        assert instruction is not None
        assert not is_nop(instruction)
    for code in (b"\x90", b"\x66\x90", b"\x48\x89\xff", b"\x48\x8d\x7f\x00", b"\x0f\x1f\x00", b"\xeb\x00"):
        instruction = decode(code)
        assert instruction is not None
        assert is_nop(instruction)


def test_jumps_and_their_targets() -> None:
    found = {}
    for code in ("74 fe", "eb 10", "e3 00", "0f 85 00 01 00 00", "e9 f0 ff ff ff", "e8 00 00 00 00", "ff e0", "55"):
        instruction = decode(bytes.fromhex(code))
        assert instruction is not None
        found[code] = branch_target(instruction)
        assert is_indirect_jump(instruction) is (code == "ff e0")
    assert list(found.values()) == [0, 0x12, 2, 0x106, -11, None, None, None]


@pytest.mark.parametrize("code", ["06", "0f 04", "d5 00 90", "62 f4 7c 08 90", "48 66 90", "c4 e4 00", "66 e9 00 00"])
def test_what_is_undefined_or_ambiguous_is_not_decoded(code: str) -> None:
    assert decode(bytes.fromhex(code) + b"\0" * 16) is None


def test_an_instruction_longer_than_the_limit_is_not_decoded() -> None:
    assert decode(b"\x66" * (MAX_LENGTH - 1) + b"\x90") is not None
    assert decode(b"\x66" * MAX_LENGTH + b"\x90") is None


@given(st.binary(max_size=24), st.integers(0, 8))
def test_any_bytes_decode_or_do_not(code: bytes, offset: int) -> None:
    instruction = decode(code, offset)
    if instruction is None:
        return
    assert 1 <= instruction.length <= MAX_LENGTH
    assert instruction.code == code[offset : offset + instruction.length]
    assert decode(instruction.code) == instruction
    # No shorter prefix of it is that instruction, or any other of the same start.
    assert all(decode(instruction.code[:n]) is None for n in range(instruction.length))
    assert text(instruction, 0)
    change = effects(instruction)
    assert change is None or all(0 <= register < 16 for register in change.written)
    if is_endbr64(instruction):
        assert instruction.opcode_map is OpcodeMap.TWO_BYTE


@pytest.mark.needs("objdump")
def test_lengths_and_texts_are_those_of_objdump() -> None:
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    libraries = sorted(name for name in mapped if re.search(r"/lib(c|m|ssl|z)[.-]", name))
    if not libraries:
        pytest.skip("needs a dynamically linked libc")
    checked = 0
    for library in libraries[:2]:
        command = ["objdump", "-dw", "-j.text", library]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        # One in eleven: a prime stride sees every kind of instruction in a second.
        for match in filter(None, map(LINE.match, listing.splitlines()[::11])):
            wanted = " ".join(re.sub(r"<.*", "", match[3] or "").split())
            code = bytes.fromhex(match[2])
            if "(bad)" in wanted or not wanted or code[0] == 0x9B:
                continue  # FWAIT, an instruction of its own, is shown joined with the x87 one behind it
            instruction = decode(code + b"\x90" * MAX_LENGTH)
            assert instruction is not None, match[0]
            assert instruction.code == code, match[0]
            shown = " ".join(text(instruction, int(match[1], 16)).split())
            assert shown.startswith(".byte") or shown == wanted, match[0]
            checked += 1
    assert checked > 1000

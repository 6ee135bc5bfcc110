"""What an x86-64 instruction does, as far as a probe must know it.

Every answer errs on the safe side: an instruction that is not in the tables here changes everything.
"""

from __future__ import annotations

from typing import NamedTuple

from pybpf.elf.x86 import OpcodeMap, X86Instruction

RSP = 4
ARGUMENT_REGISTERS = (7, 6, 2, 1, 8, 9)
"""rdi, rsi, rdx, rcx, r8, r9: the integer arguments in order (System V ABI, AMD64 supplement, 3.2.3)."""

_CALL, _JMP_NEAR, _JMP_SHORT = 0xE8, 0xE9, 0xEB
_BAD_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0xF0))
_REFUSED_ONE_BYTE = frozenset(
    (0x6C, 0x6D, 0x6E, 0x6F, 0xCC, 0xCD, 0xCF, 0xE4, 0xE5, 0xE6, 0xE7, 0xEC, 0xED, 0xEE, 0xEF, 0xF1, 0xF4, 0xFA, 0xFB)
)
_REFUSED_TWO_BYTE = frozenset(
    (0x00, 0x01, 0x06, 0x07, 0x08, 0x09, 0x0B, 0x30, 0x32, 0x33, 0x34, 0x35, 0x78, 0x79, 0xB9, 0xFF)
)


class Effects(NamedTuple):
    """What a straight-line instruction changes: general registers by number, the stack pointer by bytes downwards."""

    written: frozenset[int]
    stack: int = 0


_NOTHING = Effects(frozenset())


def is_endbr64(instruction: X86Instruction) -> bool:
    """Whether this marks the target of an indirect branch (CET)."""
    return instruction.code == b"\xf3\x0f\x1e\xfa"


def is_nop(instruction: X86Instruction) -> bool:
    """Whether the kernel may take this for a nop, by its broadest definition.

    That is NOP but not PAUSE, NOPL, and, since Linux 6.19 (commit 8a5c6cbfe4a3), ``mov %reg,%reg``,
    ``lea 0(%reg),%reg`` and a jump to the next instruction.
    """
    opcode = instruction.opcode
    if instruction.opcode_map is OpcodeMap.TWO_BYTE:
        return opcode == 0x1F and instruction.extension == 0
    if instruction.opcode_map is not OpcodeMap.ONE_BYTE:
        return False
    if opcode == 0x90:
        return not instruction.rex & 1 and 0xF3 not in instruction.prefixes
    if opcode in (_JMP_NEAR, _JMP_SHORT):
        return instruction.immediate == 0
    if opcode in (0x89, 0x8B):
        return instruction.mod == 3 and bool(instruction.rex & 8) and instruction.reg == instruction.rm
    if opcode == 0x8D and instruction.mod in (1, 2) and instruction.rex & 8 and instruction.displacement == 0:
        if instruction.sib is None:
            return instruction.reg == instruction.rm
        index = (instruction.sib >> 3 & 7) | (instruction.rex & 2) << 2
        base = (instruction.sib & 7) | (instruction.rex & 1) << 3
        return index == 4 and instruction.reg == base
    return False


def is_rewritten_nop(instruction: X86Instruction) -> bool:
    """Whether Linux >= 6.18 rewrites this probed nop into a five-byte ``call``.

    The call pushes into the red zone that a leaf function may be using: 999 of 1000 calls came back corrupted on 6.18.
    Source: ``can_optimize`` of arch/x86/kernel/uprobes.c.
    """
    return instruction.length == 5 and is_nop(instruction)


def refusal(instruction: X86Instruction) -> str | None:
    """Why a probe must not be set on this instruction, or None."""
    if is_rewritten_nop(instruction):
        return "a 5-byte nop: from Linux 6.18 the kernel turns the probe into a call that overwrites the red zone"
    if _BAD_PREFIXES & set(instruction.prefixes):
        return "the kernel refuses instructions with a LOCK, ES, CS, SS or DS prefix"
    if instruction.opcode_map is OpcodeMap.ONE_BYTE and instruction.opcode in _REFUSED_ONE_BYTE:
        return "the kernel refuses traps, port input and output, hlt, cli and sti"
    if instruction.opcode_map is OpcodeMap.TWO_BYTE and instruction.opcode in _REFUSED_TWO_BYTE:
        return "the kernel refuses system instructions and ud2"
    return None


def is_emulated(instruction: X86Instruction) -> bool:
    """Whether every kernel since 4.16 emulates this instead of stepping it out of line.

    Source: ``branch_setup_xol_ops`` and ``push_setup_xol_ops`` (commit e7ed9d9bd0375, 4.16). Longer nops joined with
    6.16 (commit 610f6e14c29d) and count as stepped here, for older kernels step them.
    """
    opcode = instruction.opcode
    if instruction.opcode_map is OpcodeMap.TWO_BYTE:
        return 0x80 <= opcode <= 0x8F and 0x66 not in instruction.prefixes
    if instruction.opcode_map is not OpcodeMap.ONE_BYTE:
        return False
    if 0x50 <= opcode <= 0x57:
        return instruction.length == 1 or (instruction.length == 2 and instruction.rex == 0x41)
    if opcode == 0x90:
        return is_nop(instruction)
    return (opcode in (_CALL, _JMP_NEAR, _JMP_SHORT) or 0x70 <= opcode <= 0x7F) and 0x66 not in instruction.prefixes


def is_push(instruction: X86Instruction) -> bool:
    """Whether this pushes a general register."""
    return instruction.opcode_map is OpcodeMap.ONE_BYTE and 0x50 <= instruction.opcode <= 0x57


def branch_target(instruction: X86Instruction) -> int | None:
    """Where a direct jump goes, in bytes from the start of the instruction; None for all others, calls included."""
    opcode = instruction.opcode
    if instruction.opcode_map is OpcodeMap.ONE_BYTE:
        direct = opcode in (_JMP_NEAR, _JMP_SHORT) or 0x70 <= opcode <= 0x7F or 0xE0 <= opcode <= 0xE3
    else:
        direct = instruction.opcode_map is OpcodeMap.TWO_BYTE and 0x80 <= opcode <= 0x8F
    return instruction.length + instruction.immediate if direct else None


def is_indirect_jump(instruction: X86Instruction) -> bool:
    """Whether this jumps through a register or memory (a jump table)."""
    return (
        instruction.opcode_map is OpcodeMap.ONE_BYTE and instruction.opcode == 0xFF and instruction.extension in (4, 5)
    )


def effects(instruction: X86Instruction) -> Effects | None:
    """What an instruction changes that a probe may be moved behind; None when a probe must stay in front of it.

    None stands for: it writes memory, transfers control, moves the stack pointer by more than a constant, or is unknown
    here. Flags and vector registers are not counted: a probe sees neither.
    """
    if instruction.opcode_map is OpcodeMap.ONE_BYTE:
        return _one_byte_effects(instruction)
    if instruction.opcode_map is OpcodeMap.TWO_BYTE:
        return _two_byte_effects(instruction)
    return None


def _writes(register: int) -> Effects | None:
    return None if register == RSP else Effects(frozenset((register,)))


def _writes_rm(instruction: X86Instruction) -> Effects | None:
    return _writes(_byte_alias(instruction, instruction.rm)) if instruction.mod == 3 else None


def _byte_alias(instruction: X86Instruction, register: int) -> int:
    """The register that holds an operand: without REX, byte registers 4-7 are ah, ch, dh and bh."""
    byte_sized = instruction.opcode in (0x86, 0x88, 0x8A, 0xC0, 0xC6, 0xD0, 0xD2, 0xF6, 0x80) or (
        instruction.opcode < 0x40 and not instruction.opcode & 1
    )
    setcc = instruction.opcode_map is OpcodeMap.TWO_BYTE and 0x90 <= instruction.opcode <= 0x9F
    if instruction.opcode_map is OpcodeMap.TWO_BYTE:
        byte_sized = setcc
    return register - 4 if byte_sized and not instruction.rex and 4 <= register <= 7 else register


def _one_byte_effects(instruction: X86Instruction) -> Effects | None:
    opcode = instruction.opcode
    if opcode < 0x40:
        return _arithmetic_effects(instruction)
    if opcode in (0x84, 0x85, 0xA8, 0xA9) or (opcode == 0x90 and not instruction.rex & 1):
        return _NOTHING
    if opcode in (0x80, 0x81, 0x83):
        return _immediate_effects(instruction)
    if opcode in (0x88, 0x89, 0xC6, 0xC7):
        return _writes_rm(instruction)
    if opcode in (0x8A, 0x8B, 0x8D, 0x63, 0x69, 0x6B):
        return _writes(_byte_alias(instruction, instruction.reg))
    if 0xB0 <= opcode <= 0xBF:
        register = instruction.opcode_register
        return _writes(register - 4 if opcode < 0xB8 and not instruction.rex and register >= 4 else register)
    if opcode in (0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3):
        return _writes_rm(instruction)
    if opcode in (0xF6, 0xF7):
        if instruction.extension in (0, 1):
            return _NOTHING
        return _writes_rm(instruction) if instruction.extension in (2, 3) else None
    return None


def _arithmetic_effects(instruction: X86Instruction) -> Effects | None:
    """The eight classic operations, ADD to CMP, in their six register and accumulator forms."""
    form = instruction.opcode & 7
    if form > 5:
        return None
    if instruction.opcode >> 3 == 7:
        return _NOTHING
    if form > 3:
        return _writes(0)
    if form > 1:
        return _writes(_byte_alias(instruction, instruction.reg))
    return _writes_rm(instruction)


def _immediate_effects(instruction: X86Instruction) -> Effects | None:
    if instruction.extension == 7:
        return _NOTHING
    if instruction.mod == 3 and instruction.rm == RSP and instruction.opcode != 0x80:
        down = {5: instruction.immediate, 0: -instruction.immediate}.get(instruction.extension)
        return None if down is None or not instruction.rex & 8 else Effects(frozenset(), down)
    return _writes_rm(instruction)


_VECTOR_ONLY = frozenset((0x10, 0x12, 0x14, 0x15, 0x16, 0x28, 0x2A, 0x2E, 0x2F, 0x51)) | frozenset(
    (0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x5C, 0x5D, 0x5E, 0x5F, 0x6E, 0x6F, 0xEF)
)


def _two_byte_effects(instruction: X86Instruction) -> Effects | None:
    opcode = instruction.opcode
    if opcode in _VECTOR_ONLY or opcode in (0x0D, 0x18, 0x1F) or is_endbr64(instruction):
        return _NOTHING
    if 0x40 <= opcode <= 0x4F or opcode in (0xAF, 0xB6, 0xB7, 0xBE, 0xBF):
        return _writes(instruction.reg)
    if 0x90 <= opcode <= 0x9F:
        return _writes_rm(instruction)
    return None

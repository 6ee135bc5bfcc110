"""A one-line text for the instruction under a probe, in the AT&T syntax of objdump.

Only what stands at the head of functions has a name here; anything else is shown as its bytes.
"""

from __future__ import annotations

from pybpf.elf.x86 import OpcodeMap, X86Instruction
from pybpf.elf.x86_effects import branch_target, is_endbr64

_WORDS = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
_ARITHMETIC = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")
_CONDITIONS = ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
_SEGMENTS = {0x2E: "%cs:", 0x36: "%ss:", 0x3E: "%ds:", 0x26: "%es:", 0x64: "%fs:", 0x65: "%gs:"}


def register_name(number: int, size: int) -> str:
    """The AT&T name of general register 0-15 at 2, 4 or 8 bytes."""
    if number >= 8:
        return f"%r{number}" + {2: "w", 4: "d", 8: ""}[size]
    return "%" + {2: "", 4: "e", 8: "r"}[size] + _WORDS[number]


def text(instruction: X86Instruction, address: int) -> str:
    """The instruction as objdump would print it at ``address``; ``.byte`` with its bytes when it has no name here."""
    named = _one_byte(instruction, address) if instruction.opcode_map is OpcodeMap.ONE_BYTE else None
    if instruction.opcode_map is OpcodeMap.TWO_BYTE:
        named = _two_byte(instruction, address)
    return named or ".byte " + ",".join(f"{byte:#04x}" for byte in instruction.code)


def _size(instruction: X86Instruction) -> int:
    if instruction.rex & 8:
        return 8
    return 2 if 0x66 in instruction.prefixes else 4


def _hex(value: int) -> str:
    return f"-{-value:#x}" if value < 0 else f"{value:#x}"


def _memory(instruction: X86Instruction, address: int) -> str:
    """The memory operand of ModRM and SIB."""
    assert instruction.modrm is not None
    segment = "".join(_SEGMENTS[prefix] for prefix in instruction.prefixes if prefix in _SEGMENTS)
    displacement = instruction.displacement
    if instruction.rip_relative:
        target = address + instruction.length + displacement
        return f"{segment}{_hex(displacement)}(%rip)        # {target:x}"
    shown = _hex(displacement) if instruction.mod else ""
    if instruction.sib is None:
        return f"{segment}{shown}({register_name(instruction.rm, 8)})"
    index = (instruction.sib >> 3 & 7) | (instruction.rex & 2) << 2
    base = (instruction.sib & 7) | (instruction.rex & 1) << 3
    scaled = f",{register_name(index, 8)},{1 << (instruction.sib >> 6)}" if index != 4 else ""
    if instruction.mod == 0 and base & 7 == 5:
        shown = _hex(displacement) if index != 4 or displacement >= 0 else f"{displacement & (1 << 64) - 1:#x}"
        return f"{segment}{shown}({scaled})" if scaled else f"{segment}{shown}"
    if not scaled and base & 7 != 4:
        scaled = ",1"
    return f"{segment}{shown}({register_name(base, 8)}{scaled})"


def _rm(instruction: X86Instruction, address: int, size: int) -> str:
    return register_name(instruction.rm, size) if instruction.mod == 3 else _memory(instruction, address)


def _immediate(instruction: X86Instruction, size: int) -> str:
    return f"${instruction.immediate & (1 << 8 * size) - 1:#x}"


def _one_byte(instruction: X86Instruction, address: int) -> str | None:
    opcode, size = instruction.opcode, _size(instruction)
    target = branch_target(instruction)
    if instruction.code == b"\x90":
        return "nop"
    if instruction.code == b"\xc3":
        return "ret"
    if instruction.prefixes and set(instruction.prefixes) - {0x66, 0x64, 0x65}:
        return None
    if 0x50 <= opcode <= 0x5F and instruction.rex in (0, 0x41) and not instruction.prefixes:
        return f"{'push' if opcode < 0x58 else 'pop'} {register_name(instruction.opcode_register, 8)}"
    if (target is not None and opcode < 0xE0) or opcode in (0xE9, 0xEB):
        name = "jmp" if opcode >= 0xE0 else "j" + _CONDITIONS[opcode & 15]
        return f"{name} {address + (target or 0):x}"
    if opcode == 0xE8:
        return f"call {address + instruction.length + instruction.immediate:x}"
    if opcode < 0x40 and opcode & 7 in (1, 3):
        return _pair(_ARITHMETIC[opcode >> 3], instruction, address, size, load=bool(opcode & 2))
    if opcode in (0x81, 0x83):
        suffix = {2: "w", 4: "l", 8: "q"}[size] if instruction.mod != 3 else ""
        name = _ARITHMETIC[instruction.extension] + suffix
        return f"{name} {_immediate(instruction, size)},{_rm(instruction, address, size)}"
    if opcode in (0x85, 0x89, 0x8B):
        return _pair("test" if opcode == 0x85 else "mov", instruction, address, size, load=opcode == 0x8B)
    if opcode == 0x8D and instruction.mod != 3:
        return _pair("lea", instruction, address, size, load=True)
    if 0xB8 <= opcode <= 0xBF and not instruction.rex & 8:
        return f"mov {_immediate(instruction, size)},{register_name(instruction.opcode_register, size)}"
    return None


def _pair(name: str, instruction: X86Instruction, address: int, size: int, *, load: bool) -> str:
    register, other = register_name(instruction.reg, size), _rm(instruction, address, size)
    if load and instruction.rip_relative:
        operand, _, comment = other.partition("        # ")
        return f"{name} {operand},{register}        # {comment}"
    return f"{name} {other},{register}" if load else f"{name} {register},{other}"


def _two_byte(instruction: X86Instruction, address: int) -> str | None:
    opcode, size = instruction.opcode, _size(instruction)
    target = branch_target(instruction)
    if is_endbr64(instruction):
        return "endbr64"
    if target is not None and not instruction.prefixes:
        return f"j{_CONDITIONS[opcode & 15]} {address + target:x}"
    if opcode == 0x1F and instruction.prefixes in (b"", b"\x66"):
        return f"nop{'w' if instruction.prefixes else 'l'} {_rm(instruction, address, size)}"
    if opcode in (0xB6, 0xB7, 0xBE, 0xBF) and not instruction.prefixes and instruction.mod != 3:
        name = "mov" + ("z" if opcode < 0xB8 else "s") + ("w" if opcode & 1 else "b") + {4: "l", 8: "q"}[size]
        return _pair(name, instruction, address, size, load=True)
    if opcode in (0xB7, 0xBF) and not instruction.prefixes:
        name = ("movzw" if opcode == 0xB7 else "movsw") + {4: "l", 8: "q"}[size]
        return f"{name} {register_name(instruction.rm, 2)},{register_name(instruction.reg, size)}"
    return None

"""Loads, stores and atomics: RFC 9669, section 5, and load_acquire and store_release of Linux 6.15.

Numbers lie in memory in host order, as for the kernel. Plain accesses may be unaligned, atomic ones may not;
``strict`` refuses both, as the verifier does for programs with BPF_F_STRICT_ALIGNMENT.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pybpf.asm import AtomicOp, Instruction, InstructionClass, Mode
from pybpf.vm.fault import FaultKind, Trap
from pybpf.vm.memory import OFFSET_MASK, WINDOW_BITS, Buffer
from pybpf.vm.templates import M64, Operation, factory

_UNSIGNED = {1: "B", 2: "H", 4: "I", 8: "Q"}
_ADDRESS = f"address = r[{{base}}] + o\nwindow = w[address >> {WINDOW_BITS}]"
_OFFSET = f"address & {OFFSET_MASK}"
_ALIGNED = "if address & m: unaligned(address)"
_PARAMETERS = ("d", "s", "o", "k", "m", "n", "w", "get", "put", "unaligned")

_OLD = f"old = get(window, {_OFFSET})[0]"
_ARITHMETIC = {
    AtomicOp.ADD: "old + r[s]",
    AtomicOp.OR: "old | r[s]",
    AtomicOp.AND: "old & r[s]",
    AtomicOp.XOR: "old ^ r[s]",
}
_ATOMICS: dict[AtomicOp, tuple[str, ...]] = {
    AtomicOp.XCHG: (f"put(window, {_OFFSET}, r[s] & k)", "r[s] = old"),
    AtomicOp.CMPXCHG: (
        "r[s] + r[0]",
        f"if old == r[0] & k: put(window, {_OFFSET}, r[s] & k)",
        "r[0] = old",
    ),
    **{op: (f"put(window, {_OFFSET}, ({text}) & k)",) for op, text in _ARITHMETIC.items()},
    **{AtomicOp(op | 1): (f"put(window, {_OFFSET}, ({text}) & k)", "r[s] = old") for op, text in _ARITHMETIC.items()},
}


def access(ins: Instruction, after: int, windows: Mapping[int, Buffer], *, strict: bool) -> Operation:
    """The operation of a load, a store or an atomic."""
    size = ins.opcode.size
    assert size is not None
    lines, aligned = _statements(ins)
    if strict or aligned:
        lines.insert(1, _ALIGNED)
    code = struct.Struct("=" + _UNSIGNED[size.bytes])
    body = "\n".join([*lines, "return n"])
    make = factory(body, *_PARAMETERS)
    mask = (1 << 8 * size.bytes) - 1
    constant = ins.imm & mask if ins.opcode.cls is InstructionClass.ST else mask
    numbers = (ins.dst, ins.src, ins.offset, constant, size.bytes - 1, after)
    return make(*numbers, windows, code.unpack_from, code.pack_into, _unaligned)


def _statements(ins: Instruction) -> tuple[list[str], bool]:
    cls, mode, size = ins.opcode.cls, ins.opcode.mode, ins.opcode.size
    assert size is not None
    op = ins.opcode.atomic_op
    loads = cls is InstructionClass.LDX or op is AtomicOp.LOAD_ACQUIRE
    # The address is known before the window is looked for: alignment is checked in between.
    lines = _ADDRESS.format(base="s" if loads else "d").split("\n")
    value = f"get(window, {_OFFSET})[0]"
    if loads and mode is Mode.MEMSX:
        sign = 1 << 8 * size.bytes - 1
        lines.append(f"r[d] = ({value} ^ {sign}) - {sign} & {M64}")
    elif loads:
        lines.append(f"r[d] = {value}")
    elif cls is InstructionClass.ST:
        lines.append(f"put(window, {_OFFSET}, k)")
    elif op is None or op is AtomicOp.STORE_RELEASE:
        lines.append(f"put(window, {_OFFSET}, r[s] & k)")
    else:
        lines += [_OLD, *_ATOMICS[op]]
    return lines, op is not None


def _unaligned(address: int) -> None:
    raise Trap(FaultKind.UNALIGNED, f"address {address:#x}", address)

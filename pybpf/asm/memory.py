"""Loads, stores, atomics and wide immediates: constructors that read like assembly."""

from __future__ import annotations

from pybpf.asm.alu import Operand
from pybpf.asm.errors import AsmError
from pybpf.asm.immediates import either32, either64, halves, signed16, signed32
from pybpf.asm.instruction import LOAD_IMM64, Instruction
from pybpf.asm.opcode import AtomicOp, Mode, OpCode, Size
from pybpf.asm.operands import MapReference, MapValueReference, Register, WideKind

_LD, _LDX, _ST, _STX = 0x00, 0x01, 0x02, 0x03
_ATOMIC_ARITHMETIC = (AtomicOp.ADD, AtomicOp.OR, AtomicOp.AND, AtomicOp.XOR)
_FETCH = 0x01


def load(size: Size, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """``dst = *(size *)(src + offset)``, zero-extended."""
    return Instruction(OpCode(_LDX | Mode.MEM | size), dst, src, signed16(offset))


def loadsx(size: Size, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """``dst = *(size *)(src + offset)``, sign-extended; B, H and W; Linux 6.6."""
    if size is Size.DW:
        raise AsmError("a sign-extending load has at most 32 bits")
    return Instruction(OpCode(_LDX | Mode.MEMSX | size), dst, src, signed16(offset))


def store(size: Size, dst: Register, offset: int, operand: Operand) -> Instruction:
    """``*(size *)(dst + offset) = operand``; an immediate is extended with its sign for DW.

    Raises:
        AsmError: offset or immediate do not fit.
    """
    if isinstance(operand, Register):
        return Instruction(OpCode(_STX | Mode.MEM | size), dst, operand, signed16(offset))
    imm = signed32(operand) if size is Size.DW else either32(operand)
    return Instruction(OpCode(_ST | Mode.MEM | size), dst, 0, signed16(offset), imm)


def load_imm64(dst: Register, value: int) -> Instruction:
    """``dst = value``, any 64 bits, with or without sign; takes two slots."""
    return Instruction(LOAD_IMM64, dst, WideKind.VALUE, imm=either64(value))


def load_map(dst: Register, name: str) -> Instruction:
    """``dst`` = the map of this name."""
    return Instruction(LOAD_IMM64, dst, WideKind.MAP_FD, reference=MapReference(name))


def load_map_fd(dst: Register, fd: int) -> Instruction:
    """``dst`` = the map behind a file descriptor."""
    return Instruction(LOAD_IMM64, dst, WideKind.MAP_FD, imm=halves(fd, 0))


def load_map_value(dst: Register, name: str, offset: int = 0) -> Instruction:
    """``dst`` = an address inside the only value of the map of this name; Linux 5.2."""
    return Instruction(LOAD_IMM64, dst, WideKind.MAP_VALUE, reference=MapValueReference(name, offset))


def load_function(dst: Register, label: str) -> Instruction:
    """``dst`` = a function of the program, for helpers that call back; Linux 5.13."""
    return Instruction(LOAD_IMM64, dst, WideKind.FUNCTION, target=label)


def load_btf_id(dst: Register, btf_id: int, btf_fd: int = 0) -> Instruction:
    """``dst`` = the address of a kernel variable, by its BTF id (in vmlinux when ``btf_fd`` is 0); Linux 5.10."""
    return Instruction(LOAD_IMM64, dst, WideKind.BTF_ID, imm=halves(btf_id, btf_fd))


def ld_abs(size: Size, offset: int) -> Instruction:
    """``r0`` = big-endian integer at ``offset`` of the packet, in host order; leaves the program when outside.

    Wants the context in R6 and destroys R1 to R5. Classic BPF's, for socket filters and traffic control.
    """
    return Instruction(OpCode(_LD | Mode.ABS | _packet_size(size)), imm=signed32(offset))


def ld_ind(size: Size, src: Register, offset: int = 0) -> Instruction:
    """``r0`` = big-endian integer at ``src + offset`` of the packet; otherwise as :func:`ld_abs`."""
    return Instruction(OpCode(_LD | Mode.IND | _packet_size(size)), 0, src, imm=signed32(offset))


def _packet_size(size: Size) -> Size:
    if size is Size.DW:
        raise AsmError("a packet load has at most 32 bits")
    return size


def atomic(op: AtomicOp, size: Size, dst: Register, offset: int, src: Register, *, fetch: bool = False) -> Instruction:
    """``*(size *)(dst + offset) op= src`` in one step, W or DW; with ``fetch``, ``src`` gets the former value.

    ADD without fetch: Linux 3.18; all others 5.12.
    """
    if fetch and op in _ATOMIC_ARITHMETIC:
        op = AtomicOp(op | _FETCH)
    ordered = op in (AtomicOp.LOAD_ACQUIRE, AtomicOp.STORE_RELEASE)
    if not ordered and size not in (Size.W, Size.DW):
        raise AsmError(f"{op.name} has 32 or 64 bits")
    return Instruction(OpCode(_STX | Mode.ATOMIC | size | op << 8), dst, src, signed16(offset))


def xchg(size: Size, dst: Register, offset: int, src: Register) -> Instruction:
    """``src`` and ``*(size *)(dst + offset)`` change places; Linux 5.12."""
    return atomic(AtomicOp.XCHG, size, dst, offset, src)


def cmpxchg(size: Size, dst: Register, offset: int, src: Register) -> Instruction:
    """If ``*(size *)(dst + offset) == r0`` it becomes ``src``; r0 = its former value; Linux 5.12."""
    return atomic(AtomicOp.CMPXCHG, size, dst, offset, src)


def load_acquire(size: Size, dst: Register, src: Register, offset: int = 0) -> Instruction:
    """``dst = *(size *)(src + offset)``; nothing later happens before it; Linux 6.15."""
    return atomic(AtomicOp.LOAD_ACQUIRE, size, dst, offset, src)


def store_release(size: Size, dst: Register, offset: int, src: Register) -> Instruction:
    """``*(size *)(dst + offset) = src``; nothing earlier happens after it; Linux 6.15."""
    return atomic(AtomicOp.STORE_RELEASE, size, dst, offset, src)

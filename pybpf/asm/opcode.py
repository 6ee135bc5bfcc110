"""Operation codes: the eight bits of the instruction set, and the ones that hide in other fields.

RFC 9669, section 4, gives an instruction eight bits of opcode::

    arithmetic and jumps             loads and stores
    msb              lsb             msb              lsb
    +-------+---+-------+            +-----+---+-------+
    |  OP   | S | CLASS |            |MODE |SZ | CLASS |
    +-------+---+-------+            +-----+---+-------+
       4      1     3                   3    2     3

That is not enough for all of them: signed division is a division with 1 in its offset field, a sign-extending move has
its width there, byte swaps have their width and atomics their operation in the immediate. Here those bits belong to the
operation, as *extension* above the first eight, so that every operation has one number and the offset and the
immediate of an instruction are always operands::

    msb                        lsb
    +----------------+-----------+
    |   EXTENSION    |   OPCODE  |
    +----------------+-----------+
            16             8
"""

from __future__ import annotations

from enum import IntEnum


class InstructionClass(IntEnum):
    """The lowest three bits of an opcode."""

    LD = 0x00
    LDX = 0x01
    ST = 0x02
    STX = 0x03
    ALU = 0x04
    JMP = 0x05
    JMP32 = 0x06
    ALU64 = 0x07


class OperandSource(IntEnum):
    """Whether the second operand of arithmetic or of a comparison is the immediate or a register."""

    K = 0x00
    X = 0x08


class Size(IntEnum):
    """The width of a memory access."""

    W = 0x00
    H = 0x08
    B = 0x10
    DW = 0x18

    @property
    def bytes(self) -> int:
        """1, 2, 4 or 8."""
        return _SIZE_BYTES[self >> 3]

    @classmethod
    def of(cls, size: int) -> Size:
        """The width of ``size`` bytes.

        Raises:
            ValueError: ``size`` is not 1, 2, 4 or 8.
        """
        if size not in _SIZE_BYTES:
            raise ValueError(f"memory is accessed 1, 2, 4 or 8 bytes at a time, not {size}")
        return cls(_SIZE_BYTES.index(size) << 3)


_SIZE_BYTES = (4, 2, 1, 8)


class Mode(IntEnum):
    """How a load or a store finds its operand."""

    IMM = 0x00
    ABS = 0x20
    IND = 0x40
    MEM = 0x60
    MEMSX = 0x80
    """Sign-extending load; Linux 6.6."""
    ATOMIC = 0xC0


class AluOp(IntEnum):
    """Arithmetic; the extension stands for the offset field."""

    ADD = 0x00
    SUB = 0x10
    MUL = 0x20
    DIV = 0x30
    OR = 0x40
    AND = 0x50
    LSH = 0x60
    RSH = 0x70
    NEG = 0x80
    MOD = 0x90
    XOR = 0xA0
    MOV = 0xB0
    ARSH = 0xC0
    END = 0xD0
    """Byte swaps: their extension is the width in bits, from the immediate."""
    SDIV = 0x01_30
    """Signed division; Linux 6.6."""
    SMOD = 0x01_90
    """Signed remainder; Linux 6.6."""
    MOVSX8 = 0x08_B0
    """Sign-extending moves; Linux 6.6."""
    MOVSX16 = 0x10_B0
    MOVSX32 = 0x20_B0
    ADDR_SPACE_CAST = 0x01_B0
    """Between a program's and user space's pointers into an arena; Linux 6.9."""
    MOV_PERCPU = 0xFFFF_B0
    """This CPU's copy of a per-CPU pointer; Linux 6.10, made by the kernel only, seen in translated programs."""


class JumpOp(IntEnum):
    """Jumps, calls and exit."""

    JA = 0x00
    EQ = 0x10
    GT = 0x20
    GE = 0x30
    SET = 0x40
    """Jump when the operands have a bit in common."""
    NE = 0x50
    SGT = 0x60
    SGE = 0x70
    CALL = 0x80
    EXIT = 0x90
    LT = 0xA0
    """LT, LE, SLT and SLE: Linux 4.14."""
    LE = 0xB0
    SLT = 0xC0
    SLE = 0xD0
    JCOND = 0xE0
    """Conditions of the kernel's own, may_goto so far; Linux 6.9."""

    @property
    def is_comparison(self) -> bool:
        """Whether it compares two operands."""
        return self in _SWAPPED

    @property
    def inverse(self) -> JumpOp | None:
        """The comparison that holds exactly when this one does not; None when there is none."""
        return _INVERSE.get(self)

    @property
    def swapped(self) -> JumpOp | None:
        """The same comparison with its operands exchanged; None for what is no comparison."""
        return _SWAPPED.get(self)


_INVERSE = {
    JumpOp.EQ: JumpOp.NE,
    JumpOp.NE: JumpOp.EQ,
    JumpOp.GT: JumpOp.LE,
    JumpOp.LE: JumpOp.GT,
    JumpOp.GE: JumpOp.LT,
    JumpOp.LT: JumpOp.GE,
    JumpOp.SGT: JumpOp.SLE,
    JumpOp.SLE: JumpOp.SGT,
    JumpOp.SGE: JumpOp.SLT,
    JumpOp.SLT: JumpOp.SGE,
}
_SWAPPED = {
    JumpOp.EQ: JumpOp.EQ,
    JumpOp.NE: JumpOp.NE,
    JumpOp.SET: JumpOp.SET,
    JumpOp.GT: JumpOp.LT,
    JumpOp.LT: JumpOp.GT,
    JumpOp.GE: JumpOp.LE,
    JumpOp.LE: JumpOp.GE,
    JumpOp.SGT: JumpOp.SLT,
    JumpOp.SLT: JumpOp.SGT,
    JumpOp.SGE: JumpOp.SLE,
    JumpOp.SLE: JumpOp.SGE,
}


class AtomicOp(IntEnum):
    """Atomic memory operations, as in the immediate.

    ADD without FETCH is of Linux 3.18; the others of 5.12, LOAD_ACQUIRE and STORE_RELEASE of 6.15.
    """

    ADD = 0x00
    OR = 0x40
    AND = 0x50
    XOR = 0xA0
    FETCH_ADD = 0x01
    FETCH_OR = 0x41
    FETCH_AND = 0x51
    FETCH_XOR = 0xA1
    XCHG = 0xE1
    CMPXCHG = 0xF1
    LOAD_ACQUIRE = 0x100
    STORE_RELEASE = 0x110


class OpCode(int):
    """An operation code with its extension, as drawn at the head of this module."""

    __slots__ = ()

    @property
    def byte(self) -> int:
        """The eight bits that go into the opcode field."""
        return self & 0xFF

    @property
    def extension(self) -> int:
        """The bits that go into the offset or the immediate field."""
        return self >> 8

    @property
    def cls(self) -> InstructionClass:
        """The class."""
        return InstructionClass(self & 0x07)

    @property
    def is_alu(self) -> bool:
        """Whether this is arithmetic, of 32 or 64 bits."""
        return self & 0x07 in (InstructionClass.ALU, InstructionClass.ALU64)

    @property
    def is_jump(self) -> bool:
        """Whether this is of the jump classes: jumps, calls, exit."""
        return self & 0x07 in (InstructionClass.JMP, InstructionClass.JMP32)

    @property
    def source(self) -> OperandSource | None:
        """Where the second operand of arithmetic or of a jump comes from; None for loads and stores."""
        return OperandSource(self & 0x08) if self.is_alu or self.is_jump else None

    @property
    def alu_op(self) -> AluOp | None:
        """The arithmetic; :attr:`AluOp.END` for every byte swap."""
        if not self.is_alu:
            return None
        return AluOp.END if self & 0xF0 == AluOp.END else AluOp(self & ~0x0F)

    @property
    def jump_op(self) -> JumpOp | None:
        """The jump."""
        return JumpOp(self & 0xF0) if self.is_jump else None

    @property
    def mode(self) -> Mode | None:
        """The mode of a load or a store."""
        return None if self.is_alu or self.is_jump else Mode(self & 0xE0)

    @property
    def size(self) -> Size | None:
        """The width of a load or a store."""
        return None if self.is_alu or self.is_jump else Size(self & 0x18)

    @property
    def atomic_op(self) -> AtomicOp | None:
        """The atomic operation."""
        return AtomicOp(self >> 8) if self & 0xE7 == Mode.ATOMIC | InstructionClass.STX else None

    @property
    def swap_bits(self) -> int | None:
        """The width of a byte swap: 16, 32 or 64."""
        return self >> 8 if self.alu_op is AluOp.END else None

    def __repr__(self) -> str:
        return f"OpCode({int(self):#04x})"

"""The intermediate form: basic blocks of three-address instructions over virtual registers.

A virtual register holds 64 bits. It may be written more than once (it is a variable, not an SSA name); liveness and the
register allocator work on that form directly. Every instruction keeps the Python line that it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Union

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybpf.asm import AluOp, AtomicOp, JumpOp, SourceLine


class VReg:
    """A virtual register; compares by identity. ``name`` is for people."""

    __slots__ = ("name", "number", "pinned")

    def __init__(self, number: int, name: str = "", *, pinned: bool = False) -> None:
        self.number = number
        self.name = name
        self.pinned = pinned
        """Must not be spilled: it is itself the product of a spill."""

    def __repr__(self) -> str:
        return f"%{self.number}{'.' + self.name if self.name else ''}"


@dataclass(eq=False)
class Slot:
    """A piece of the program's stack; ``offset`` from R10 is set when the frame is laid out."""

    name: str
    size: int
    align: int = 8
    line: SourceLine | None = None
    offset: int | None = None

    def __repr__(self) -> str:
        return f"[{self.name}]"


Operand = Union[VReg, int]
Base = Union[VReg, Slot]


@dataclass(eq=False)
class Instr:
    """One instruction: at most one register written (``dst``), any number of operands read (``sources``)."""

    dst: VReg | None = None
    sources: list[Operand] = field(default_factory=list)
    line: SourceLine | None = None

    def uses(self) -> Iterator[VReg]:
        """The registers read."""
        return (source for source in self.sources if isinstance(source, VReg))

    clobbers: ClassVar[bool] = False
    """Whether R0 to R5 are lost, as at every call."""
    has_effect: ClassVar[bool] = False
    """Whether the instruction must stay even if nobody reads ``dst``."""


class Move(Instr):
    """``dst = sources[0]``."""


@dataclass(eq=False)
class Alu(Instr):
    """``dst = sources[0] op sources[1]`` in 64 or 32 bits; the first source is always a register."""

    op: AluOp = None  # type: ignore[assignment]
    bits: int = 64


class Negate(Instr):
    """``dst = -sources[0]``."""


@dataclass(eq=False)
class Extend(Instr):
    """``dst`` = the low ``bits`` of ``sources[0]``, extended by zeros or by the sign."""

    bits: int = 32
    signed: bool = False


@dataclass(eq=False)
class ToBigEndian(Instr):
    """``dst`` = ``sources[0]`` of ``bits`` with its bytes in the network's order (an involution)."""

    bits: int = 32


@dataclass(eq=False)
class Load(Instr):
    """``dst = *(size *)(base + offset)``; ``base`` is ``sources[0]`` or ``slot``."""

    slot: Slot | None = None
    offset: int = 0
    size: int = 8


@dataclass(eq=False)
class Store(Instr):
    """``*(size *)(base + offset) = sources[0]``; ``base`` is ``sources[1]`` or ``slot``."""

    slot: Slot | None = None
    offset: int = 0
    size: int = 8
    has_effect = True


@dataclass(eq=False)
class Atomic(Instr):
    """``*(size *)(base + offset) op= sources[0]`` as one step; ``base`` is ``sources[1]`` or ``slot``."""

    op: AtomicOp = None  # type: ignore[assignment]
    slot: Slot | None = None
    offset: int = 0
    size: int = 8
    has_effect = True


@dataclass(eq=False)
class Address(Instr):
    """``dst`` = the address of ``slot`` + ``offset``."""

    slot: Slot = None  # type: ignore[assignment]
    offset: int = 0


@dataclass(eq=False)
class MapAddress(Instr):
    """``dst`` = the map called ``name``."""

    name: str = ""


@dataclass(eq=False)
class Call(Instr):
    """``dst = helper(*sources)``; at most five sources, in R1 to R5.

    ``helper`` is the number of a kernel helper, ``kfunc`` the name of a kernel function; one of them is set.
    """

    helper: int | None = None
    kfunc: str | None = None

    clobbers = True
    has_effect = True


@dataclass(eq=False)
class PacketLoad(Instr):
    """``dst`` = the big-endian integer of ``size`` bytes at ``sources[0]`` of the packet.

    Past its end the program ends with 0. ``sources[1]`` is the context, which the instruction wants in R6.
    """

    size: int = 4

    clobbers = True
    has_effect = True


@dataclass(eq=False)
class Goto(Instr):
    """Go on at ``target``."""

    target: Block = None  # type: ignore[assignment]


@dataclass(eq=False)
class Branch(Instr):
    """Go on at ``then`` if ``sources[0] op sources[1]``, at ``otherwise`` if not."""

    op: JumpOp = None  # type: ignore[assignment]
    then: Block = None  # type: ignore[assignment]
    otherwise: Block = None  # type: ignore[assignment]


class Return(Instr):
    """End the program with ``sources[0]``."""


@dataclass(eq=False)
class Block:
    """Instructions without a jump in or out but at the ends; the last one is a Goto, Branch or Return."""

    name: str
    instructions: list[Instr] = field(default_factory=list)

    @property
    def terminator(self) -> Instr | None:
        """The instruction that leaves the block, if it is there already."""
        last = self.instructions[-1] if self.instructions else None
        return last if isinstance(last, (Goto, Branch, Return)) else None

    def successors(self) -> list[Block]:
        """Where control may go from here."""
        last = self.terminator
        if isinstance(last, Goto):
            return [last.target]
        if isinstance(last, Branch):
            return [last.then, last.otherwise]
        return []

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(eq=False)
class Function:
    """A whole program: its blocks (the entry first), its stack and the register of its context."""

    name: str
    context: VReg
    blocks: list[Block] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    registers: int = 1

    def register(self, name: str = "", *, pinned: bool = False) -> VReg:
        """A new virtual register."""
        self.registers += 1
        return VReg(self.registers, name, pinned=pinned)

    def slot(self, name: str, size: int, align: int = 8, line: SourceLine | None = None) -> Slot:
        """A new piece of stack."""
        slot = Slot(name, size, align, line)
        self.slots.append(slot)
        return slot

    def instructions(self) -> Iterator[Instr]:
        """All instructions in order."""
        for block in self.blocks:
            yield from block.instructions

    def dump(self) -> str:
        """The function as text, for people."""
        lines = []
        for block in self.blocks:
            lines.append(f"{block.name}:")
            lines.extend(f"    {describe(instr)}" for instr in block.instructions)
        return "\n".join(lines)


def describe(instr: Instr) -> str:
    """One instruction as text, for people."""
    hidden = {"dst", "sources", "line"}
    extra = ", ".join(f"{k}={v!r}" for k, v in vars(instr).items() if k not in hidden and v is not None)
    head = f"{instr.dst!r} = " if instr.dst is not None else ""
    return f"{head}{type(instr).__name__.lower()} {', '.join(map(repr, instr.sources))} {extra}".rstrip()

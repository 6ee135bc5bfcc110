"""One instruction, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pybpf.asm.opcode import OpCode
from pybpf.asm.operands import CallKind, WideKind

if TYPE_CHECKING:
    from pybpf.asm.operands import Reference, SourceLine

LOAD_IMM64 = OpCode(0x18)
CALL = OpCode(0x85)


@dataclass(frozen=True)
class Instruction:
    """One instruction; build it with the constructors of this package (``mov(R1, 5)``).

    ``opcode`` carries its extension (see :mod:`pybpf.asm.opcode`), so ``offset`` and ``imm`` are operands and nothing
    else. ``offset`` counts instruction slots in jumps and bytes in loads and stores. ``imm`` is signed: 32 bits, 64 in
    ``ld_imm64``, whose map kinds keep the file descriptor in the lower and the offset in the upper half. ``src`` is a
    :class:`~pybpf.asm.operands.CallKind` in calls and a :class:`~pybpf.asm.operands.WideKind` in ``ld_imm64``.

    ``target`` names the label a jump, a call or a function load goes to, until :func:`~pybpf.asm.assemble` turns it
    into a number; ``reference`` names a map or a kernel function until :func:`~pybpf.asm.bind` does.
    ``labels`` are this instruction's own names and ``source`` the line it comes from; they take no part in equality.
    """

    opcode: OpCode
    dst: int = 0
    src: int = 0
    offset: int = 0
    imm: int = 0
    target: str | None = None
    reference: Reference | None = None
    labels: tuple[str, ...] = field(default=(), compare=False)
    source: SourceLine | None = field(default=None, compare=False)

    @property
    def is_wide(self) -> bool:
        """Whether this is ``ld_imm64``, the one instruction of 16 bytes."""
        return self.opcode == LOAD_IMM64

    @property
    def slots(self) -> int:
        """How many slots of 8 bytes it takes: what jump offsets and BTF line info count."""
        return 2 if self.opcode == LOAD_IMM64 else 1

    @property
    def is_call(self) -> bool:
        """Whether it calls a helper, a kernel function or a function of the program."""
        return self.opcode == CALL

    @property
    def call_kind(self) -> CallKind | None:
        """What is called; None when nothing is."""
        return CallKind(self.src) if self.opcode == CALL else None

    @property
    def wide_kind(self) -> WideKind | None:
        """What the 64-bit immediate stands for; None when there is none."""
        return WideKind(self.src) if self.opcode == LOAD_IMM64 else None

    def labelled(self, *names: str) -> Instruction:
        """The same instruction with these names added to its own."""
        return self._with(labels=self.labels + names)

    def at(self, source: SourceLine | None) -> Instruction:
        """The same instruction, coming from this line."""
        return self._with(source=source)

    def resolved(self, *, src: int | None = None, offset: int | None = None, imm: int | None = None) -> Instruction:
        """The same instruction with numbers in place of its target or its reference."""
        return self._with(
            target=None,
            reference=None,
            src=self.src if src is None else src,
            offset=self.offset if offset is None else offset,
            imm=self.imm if imm is None else imm,
        )

    def _with(self, **changes: object) -> Instruction:
        # dataclasses.replace() costs four times as much, and a compiler does this to every instruction.
        other = object.__new__(Instruction)
        other.__dict__.update(self.__dict__)
        other.__dict__.update(changes)
        return other

    def __str__(self) -> str:
        # The disassembler needs this class; nothing is printed where speed matters.
        from pybpf.asm.disassembler import format_instruction

        return format_instruction(self)

"""From blocks and real registers to instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from pybpf import asm
from pybpf.asm import R0, R1, R10, AluOp, JumpOp, Register, Size
from pybpf.lang import ir
from pybpf.lang.errors import CompileError

if TYPE_CHECKING:
    from pybpf.asm import Instruction
    from pybpf.lang.ir import Block, Function, Operand, Slot, VReg

STACK_BYTES = 512
"""MAX_BPF_STACK, per function."""

_SIZES = {1: Size.B, 2: Size.H, 4: Size.W, 8: Size.DW}
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


def lay_out_stack(function: Function) -> int:
    """Give every used slot its offset from R10; returns the bytes of stack used.

    Raises:
        CompileError: they are more than 512; the message is a table of who uses them.
    """
    used = {slot: None for instr in function.instructions() if (slot := getattr(instr, "slot", None)) is not None}
    position = 0
    for slot in used:
        position = -(-(position + slot.size) // 8) * 8
        slot.offset = -position
    if position > STACK_BYTES:
        rows = sorted(used, key=lambda slot: -slot.size)[:12]
        table = "\n".join(f"  {slot.size:5} bytes  {slot.name}{_line_of(slot)}" for slot in rows)
        raise CompileError(
            f"{function.name} needs {position} bytes of stack, {STACK_BYTES} are there:\n{table}",
            rows[0].line,
            hint="keep large structs in a per-CPU array map and look them up",
        )
    return position


def _line_of(slot: Slot) -> str:
    return f"  (line {slot.line.line})" if slot.line else ""


class Emitter:
    """Writes the instructions of one function."""

    def __init__(self, function: Function, registers: dict[VReg, Register]) -> None:
        self._function = function
        self._real = registers
        self._out: list[Instruction] = []
        self._line: asm.SourceLine | None = None
        self._waiting: tuple[str, ...] = ()
        """Labels of blocks that left no instruction to carry them."""

    def emit(self) -> list[Instruction]:
        """All instructions, with labels not yet resolved."""
        blocks = self._function.blocks
        context = self._real.get(self._function.context, R1)
        if context is not R1 and self._reads_context():
            self._line = next((instr.line for instr in blocks[0].instructions), None)
            self._add(asm.mov(context, R1))
        for block, following in zip(blocks, [*blocks[1:], None]):
            start = len(self._out)
            for instr in block.instructions:
                self._line = instr.line
                self._instruction(instr, following)
            if len(self._out) == start:
                self._waiting = (*self._waiting, block.name)
                continue
            self._out[start] = self._out[start].labelled(block.name, *self._waiting)
            self._waiting = ()
        return self._out

    def _reads_context(self) -> bool:
        return any(self._function.context in instr.uses() for instr in self._function.instructions())

    def _add(self, instruction: Instruction) -> None:
        self._out.append(instruction.at(self._line))

    def _instruction(self, instr: ir.Instr, following: Block | None) -> None:
        handler: Callable[..., None] = _HANDLERS[type(instr)]
        if isinstance(instr, (ir.Goto, ir.Branch)):
            handler(self, instr, following)
        else:
            handler(self, instr)

    def _dst(self, instr: ir.Instr) -> Register:
        assert instr.dst is not None
        return self._real.get(instr.dst, R0)

    def _operand(self, operand: Operand) -> Register | int:
        return operand if isinstance(operand, int) else self._real[operand]

    def _register(self, operand: Operand) -> Register:
        assert isinstance(operand, ir.VReg)
        return self._real[operand]

    def _set(self, register: Register, operand: Operand) -> None:
        """``register = operand`` in the shortest way."""
        if isinstance(operand, ir.VReg):
            if self._real[operand] is not register:
                self._add(asm.mov(register, self._real[operand]))
        elif -(1 << 31) <= operand < 1 << 31:
            self._add(asm.mov(register, operand))
        elif 0 <= operand < 1 << 32:
            self._add(asm.mov32(register, operand))
        else:
            self._add(asm.load_imm64(register, operand))

    def _move(self, instr: ir.Move) -> None:
        self._set(self._dst(instr), instr.sources[0])

    def _alu(self, instr: ir.Alu) -> None:
        target, left, right = self._dst(instr), self._register(instr.sources[0]), self._operand(instr.sources[1])
        if right is target and left is not target and isinstance(right, Register):
            self._add(asm.alu(instr.op, target, left, bits=instr.bits))
            return
        if left is not target:
            self._add(asm.mov(target, left))
        self._add(asm.alu(instr.op, target, right, bits=instr.bits))

    def _negate(self, instr: ir.Negate) -> None:
        self._set(self._dst(instr), instr.sources[0])
        self._add(asm.neg(self._dst(instr)))

    def _extend(self, instr: ir.Extend) -> None:
        target, source = self._dst(instr), self._register(instr.sources[0])
        if instr.bits == 32 and not instr.signed:
            self._add(asm.mov32(target, source))
            return
        self._set(target, instr.sources[0])
        if instr.signed:
            self._add(asm.lsh(target, 64 - instr.bits))
            self._add(asm.arsh(target, 64 - instr.bits))
        else:
            self._add(asm.alu(AluOp.AND, target, (1 << instr.bits) - 1))

    def _to_big_endian(self, instr: ir.ToBigEndian) -> None:
        self._set(self._dst(instr), instr.sources[0])
        self._add(asm.to_be(self._dst(instr), instr.bits))

    def _place(self, slot: Slot | None, base: list[Operand], offset: int) -> tuple[Register, int]:
        if slot is not None:
            assert slot.offset is not None
            return R10, slot.offset + offset
        return self._register(base[0]), offset

    def _load(self, instr: ir.Load) -> None:
        base, offset = self._place(instr.slot, instr.sources, instr.offset)
        self._add(asm.load(_SIZES[instr.size], self._dst(instr), base, offset))

    def _store(self, instr: ir.Store) -> None:
        base, offset = self._place(instr.slot, instr.sources[1:], instr.offset)
        self._add(asm.store(_SIZES[instr.size], base, offset, self._operand(instr.sources[0])))

    def _atomic(self, instr: ir.Atomic) -> None:
        base, offset = self._place(instr.slot, instr.sources[1:], instr.offset)
        self._add(asm.atomic(instr.op, _SIZES[instr.size], base, offset, self._register(instr.sources[0])))

    def _address(self, instr: ir.Address) -> None:
        assert instr.slot.offset is not None
        self._add(asm.mov(self._dst(instr), R10))
        self._add(asm.add(self._dst(instr), instr.slot.offset + instr.offset))

    def _map_address(self, instr: ir.MapAddress) -> None:
        self._add(asm.load_map(self._dst(instr), instr.name))

    def _call(self, instr: ir.Call) -> None:
        self._arguments(instr.sources)
        if instr.kfunc is not None:
            self._add(asm.call_kfunc(instr.kfunc))
        else:
            assert instr.helper is not None
            self._add(asm.call(instr.helper))
        self._result(instr)

    def _result(self, instr: ir.Instr) -> None:
        if instr.dst is not None and self._dst(instr) is not R0:
            self._add(asm.mov(self._dst(instr), R0))

    def _arguments(self, sources: list[Operand]) -> None:
        """Move everything into R1 to R5 at once: no register is overwritten while it is still to be read."""
        waiting: dict[Register, Operand] = {}
        for index, source in enumerate(sources):
            target = Register(index + 1)
            if not isinstance(source, ir.VReg) or self._real[source] is not target:
                waiting[target] = source
        held = {source: self._real[source] for source in sources if isinstance(source, ir.VReg)}
        while waiting:
            ready = [
                t
                for t in waiting
                if not any(held.get(s) is t for w, s in waiting.items() if w is not t and isinstance(s, ir.VReg))
            ]
            if not ready:
                # only cycles are left, and R0 is no argument: it breaks one of them
                target, source = next(iter(waiting.items()))
                assert isinstance(source, ir.VReg)
                broken = held[source]
                self._add(asm.mov(R0, broken))
                held = {name: R0 if real is broken else real for name, real in held.items()}
                continue
            for target in ready:
                source = waiting.pop(target)
                if isinstance(source, ir.VReg):
                    self._add(asm.mov(target, held[source]))
                else:
                    self._set(target, source)

    def _packet_load(self, instr: ir.PacketLoad) -> None:
        index = self._operand(instr.sources[0])
        if isinstance(index, Register):
            self._add(asm.ld_ind(_SIZES[instr.size], index))
        else:
            self._add(asm.ld_abs(_SIZES[instr.size], index))
        self._result(instr)

    def _goto(self, instr: ir.Goto, following: Block | None) -> None:
        if instr.target is not following:
            self._add(asm.jump(instr.target.name))

    def _branch(self, instr: ir.Branch, following: Block | None) -> None:
        left, right = self._register(instr.sources[0]), self._operand(instr.sources[1])
        if instr.then is following:
            self._add(asm.jump_if(_INVERSE[instr.op], left, right, instr.otherwise.name))
            return
        self._add(asm.jump_if(instr.op, left, right, instr.then.name))
        if instr.otherwise is not following:
            self._add(asm.jump(instr.otherwise.name))

    def _return(self, instr: ir.Return) -> None:
        self._set(R0, instr.sources[0])
        self._add(asm.exit_())


_HANDLERS: dict[type[ir.Instr], Callable[..., None]] = {
    ir.Move: Emitter._move,
    ir.Alu: Emitter._alu,
    ir.Negate: Emitter._negate,
    ir.Extend: Emitter._extend,
    ir.ToBigEndian: Emitter._to_big_endian,
    ir.Load: Emitter._load,
    ir.Store: Emitter._store,
    ir.Atomic: Emitter._atomic,
    ir.Address: Emitter._address,
    ir.MapAddress: Emitter._map_address,
    ir.Call: Emitter._call,
    ir.PacketLoad: Emitter._packet_load,
    ir.Goto: Emitter._goto,
    ir.Branch: Emitter._branch,
    ir.Return: Emitter._return,
}

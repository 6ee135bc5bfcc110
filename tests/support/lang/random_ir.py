"""Random functions of the intermediate form, and an interpreter for them."""

from __future__ import annotations

from typing import Any, Callable

from hypothesis import strategies as st

from pybpf.asm import AluOp, JumpOp
from pybpf.lang import ir
from tests.support.lang.integers import U64, wrapped

HELPER = 5
"""The helper that the functions call: it mixes its arguments and leaves a trace of them."""
FUEL = 400
CONTEXT = bytes(range(200, 232))
"""What the context points to."""

_SHIFTS = (AluOp.LSH, AluOp.RSH, AluOp.ARSH)
_ALU = (AluOp.ADD, AluOp.SUB, AluOp.MUL, AluOp.DIV, AluOp.MOD, AluOp.OR, AluOp.AND, AluOp.XOR, *_SHIFTS)
_NUMBERS = (0, 1, 3, 63, 64, 255, -1, -5, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, -(1 << 63), U64)


class OutOfFuel(Exception):
    """The function does not end soon enough to be of use."""


def mixed(arguments: list[int]) -> int:
    """What the helper gives."""
    result = 7
    for argument in arguments:
        result = (result * 31 + argument) & U64
    return result


@st.composite
def functions(draw: Callable[[Any], Any]) -> ir.Function:
    """A function that reads nothing that it has not written; it may run for ever."""
    count = draw(st.sampled_from((2, 4, 8, 12, 16, 20)))
    function = ir.Function("random", ir.VReg(0, "context"))
    registers = [function.register(f"v{index}") for index in range(count)]
    slots = [function.slot(f"s{index}", 8) for index in range(2)]
    addresses = [function.register(f"a{index}") for index in range(2)]
    entry = ir.Block("entry")
    blocks = [ir.Block(f"b{index}") for index in range(draw(st.integers(1, 5)))]
    function.blocks = [entry, *blocks]
    number = st.one_of(st.sampled_from(_NUMBERS), st.integers(-(1 << 63), U64))
    register = st.sampled_from(registers)
    operand = st.one_of(register, register, number)

    def instruction() -> ir.Instr:
        kind = draw(st.integers(-1, 12))
        if kind <= 1:
            return ir.Move(draw(register), [draw(operand)])
        if kind <= 4:
            op = draw(st.sampled_from(_ALU))
            second = draw(operand)
            if isinstance(second, int) and op in _SHIFTS:
                second &= 63
            if isinstance(second, int) and op in (AluOp.DIV, AluOp.MOD) and not second & U64:
                second = 3
            return ir.Alu(draw(register), [draw(register), second], op=op)
        if kind == 5:
            return ir.Extend(
                draw(register), [draw(register)], bits=draw(st.sampled_from((8, 16, 32))), signed=draw(st.booleans())
            )
        if kind == 6:
            return ir.Negate(draw(register), [draw(register)])
        if kind == 7:
            return ir.Store(
                None, [draw(operand)], slot=draw(st.sampled_from(slots)), size=draw(st.sampled_from((1, 4, 8)))
            )
        if kind == 10:
            return ir.Load(draw(register), [function.context], offset=8 * draw(st.integers(0, 3)))
        if kind == 11:
            return ir.ToBigEndian(draw(register), [draw(register)], bits=draw(st.sampled_from((16, 32, 64))))
        if kind == 12:
            return ir.Load(draw(register), [addresses[draw(st.integers(0, 1))]], size=draw(st.sampled_from((2, 8))))
        if kind == 8:
            return ir.Load(draw(register), [], slot=draw(st.sampled_from(slots)), size=draw(st.sampled_from((1, 4, 8))))
        arguments = draw(st.lists(operand, max_size=5))
        return ir.Call(draw(st.one_of(st.none(), register)), arguments, helper=HELPER)

    for index, each in enumerate(registers):
        entry.instructions.append(ir.Move(each, [draw(number) if index % 2 else index]))
    for slot, address in zip(slots, addresses):
        entry.instructions.append(ir.Store(None, [draw(register)], slot=slot))
        entry.instructions.append(ir.Address(address, slot=slot))
    entry.instructions.append(ir.Goto(target=blocks[0]))
    target = st.sampled_from(blocks)
    for block in blocks:
        block.instructions += [instruction() for _ in range(draw(st.integers(0, 12)))]
        kind = draw(st.integers(0, 5))
        if kind == 0 or block is blocks[-1]:
            block.instructions.append(ir.Return(None, [draw(operand)]))
        elif kind == 1:
            block.instructions.append(ir.Goto(target=draw(target)))
        else:
            op = draw(st.sampled_from([op for op in JumpOp if op.name in _COMPARE]))
            sides = [draw(register), draw(operand)]
            block.instructions.append(ir.Branch(None, sides, op=op, then=draw(target), otherwise=draw(target)))
    return function


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "EQ": lambda a, b: a == b,
    "NE": lambda a, b: a != b,
    "GT": lambda a, b: a > b,
    "GE": lambda a, b: a >= b,
    "LT": lambda a, b: a < b,
    "LE": lambda a, b: a <= b,
    "SGT": lambda a, b: _signed(a) > _signed(b),
    "SGE": lambda a, b: _signed(a) >= _signed(b),
    "SLT": lambda a, b: _signed(a) < _signed(b),
    "SLE": lambda a, b: _signed(a) <= _signed(b),
}


def _signed(value: int) -> int:
    return wrapped(value, "s").value


def alu(op: AluOp, left: int, right: int) -> int:
    """One operation on 64 bits (RFC 9669)."""
    results: dict[AluOp, Callable[[], int]] = {
        AluOp.ADD: lambda: left + right,
        AluOp.SUB: lambda: left - right,
        AluOp.MUL: lambda: left * right,
        AluOp.DIV: lambda: left // right if right else 0,
        AluOp.MOD: lambda: left % right if right else left,
        AluOp.OR: lambda: left | right,
        AluOp.AND: lambda: left & right,
        AluOp.XOR: lambda: left ^ right,
        AluOp.LSH: lambda: left << (right & 63),
        AluOp.RSH: lambda: left >> (right & 63),
        AluOp.ARSH: lambda: _signed(left) >> (right & 63),
    }
    return results[op]() & U64


class Interpreter:
    """Runs a function of the intermediate form; ``calls`` are the arguments of every call."""

    def __init__(self) -> None:
        self.values: dict[ir.VReg, int] = {}
        self.addresses: dict[ir.VReg, ir.Slot] = {}
        self.slots: dict[ir.Slot, bytearray] = {}
        self.calls: list[list[int]] = []

    def run(self, function: ir.Function) -> int:
        self.values[function.context] = 0
        block = function.blocks[0]
        for _ in range(FUEL):
            for instr in block.instructions:
                operands = [self.operand(source) for source in instr.sources]
                if isinstance(instr, ir.Return):
                    return operands[0]
                if isinstance(instr, ir.Goto):
                    block = instr.target
                elif isinstance(instr, ir.Branch):
                    block = instr.then if _COMPARE[instr.op.name](*operands) else instr.otherwise
                else:
                    self.step(instr, operands)
        raise OutOfFuel

    def operand(self, source: ir.Operand) -> int:
        return self.values[source] if isinstance(source, ir.VReg) else source & U64

    def step(self, instr: ir.Instr, operands: list[int]) -> None:
        result: int | None = None
        if isinstance(instr, ir.Move):
            result = operands[0]
        elif isinstance(instr, ir.Alu):
            result = alu(instr.op, *operands)
        elif isinstance(instr, ir.Negate):
            result = -operands[0] & U64
        elif isinstance(instr, ir.Extend):
            low = operands[0] & ((1 << instr.bits) - 1)
            negative = instr.signed and low >> (instr.bits - 1)
            result = (low - (1 << instr.bits) if negative else low) & U64
        elif isinstance(instr, ir.Call):
            self.calls.append(operands)
            result = mixed(operands)
        elif isinstance(instr, ir.Address) and instr.dst is not None:
            self.addresses[instr.dst] = instr.slot
            self.values[instr.dst] = 0
        elif isinstance(instr, ir.ToBigEndian):
            size = instr.bits // 8
            result = int.from_bytes((operands[0] & ((1 << instr.bits) - 1)).to_bytes(size, "big"), "little")
        elif isinstance(instr, (ir.Load, ir.Store)):
            data = self.memory(instr)
            if isinstance(instr, ir.Load):
                result = int.from_bytes(data[instr.offset : instr.offset + instr.size], "little")
            else:
                data[: instr.size] = (operands[0] & U64).to_bytes(8, "little")[: instr.size]
        else:
            raise NotImplementedError(type(instr))
        if instr.dst is not None and result is not None:
            self.values[instr.dst] = result

    def memory(self, instr: ir.Load | ir.Store) -> bytearray:
        if instr.slot is not None:
            return self.slots.setdefault(instr.slot, bytearray(8))
        base = instr.sources[-1]
        assert isinstance(base, ir.VReg)
        if base in self.addresses:
            return self.slots.setdefault(self.addresses[base], bytearray(8))
        return bytearray(CONTEXT)

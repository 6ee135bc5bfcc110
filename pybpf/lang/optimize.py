"""Small optimisations that pay: copies and constants propagate, dead code goes, blocks join, constants fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpf.asm import AluOp
from pybpf.lang import ir
from pybpf.lang.liveness import live_out

if TYPE_CHECKING:
    from pybpf.lang.ir import Block, Function, Instr, Operand, VReg

_IMM_MIN, _IMM_MAX = -(1 << 31), (1 << 31) - 1
_OFFSET_MIN, _OFFSET_MAX = -(1 << 15), (1 << 15) - 1
COMMUTATIVE = frozenset({AluOp.ADD, AluOp.MUL, AluOp.OR, AluOp.AND, AluOp.XOR})
_SHIFTS = frozenset({AluOp.LSH, AluOp.RSH, AluOp.ARSH})
_DIVISIONS = frozenset({AluOp.DIV, AluOp.MOD})


def optimize(function: Function) -> None:
    """Improve ``function`` in place; its meaning stays."""
    tidy_blocks(function)
    for _ in range(3):
        changed = retarget_moves(function)
        changed |= propagate(function)
        changed |= remove_dead(function)
        if not changed:
            break
    tidy_blocks(function)
    legalize(function)


def propagate(function: Function) -> bool:
    """Within each block, read the source of a copy instead of the copy."""
    changed = False
    for block in function.blocks:
        known: dict[VReg, Operand] = {}
        for instr in block.instructions:
            for index, source in enumerate(instr.sources):
                if isinstance(source, ir.VReg) and source in known and _may_replace(instr, index, known[source]):
                    instr.sources[index] = known[source]
                    changed = True
            if instr.dst is not None:
                _forget(known, instr.dst)
                if isinstance(instr, ir.Move) and instr.sources[0] is not instr.dst:
                    known[instr.dst] = instr.sources[0]
    return changed


def _forget(known: dict[VReg, Operand], written: VReg) -> None:
    known.pop(written, None)
    for copy in [copy for copy, source in known.items() if source is written]:
        del known[copy]


def _may_replace(instr: Instr, index: int, operand: Operand) -> bool:
    if isinstance(operand, ir.VReg):
        return True
    if isinstance(instr, (ir.Move, ir.Return, ir.Call)):
        return True
    if isinstance(instr, ir.Alu):
        # what the processor does with such a register the verifier refuses as a constant
        refused = (instr.op in _SHIFTS and not 0 <= operand < 64) or (instr.op in _DIVISIONS and not operand)
        return index == 1 and fits_immediate(operand) and not refused
    if isinstance(instr, ir.Branch):
        return index == 1 and fits_immediate(operand)
    if isinstance(instr, ir.Store):
        return index == 0 and (fits_immediate(operand) or instr.size < 8)
    return isinstance(instr, ir.PacketLoad) and index == 0 and fits_immediate(operand)


def retarget_moves(function: Function) -> bool:
    """``t = a op b; v = t`` becomes ``v = a op b`` where ``t`` has no other use."""
    uses: dict[VReg, int] = {}
    defs: dict[VReg, int] = {}
    for instr in function.instructions():
        for register in instr.uses():
            uses[register] = uses.get(register, 0) + 1
        if instr.dst is not None:
            defs[instr.dst] = defs.get(instr.dst, 0) + 1
    changed = False
    for block in function.blocks:
        kept: list[Instr] = []
        for instr in block.instructions:
            before = kept[-1] if kept else None
            if (
                isinstance(instr, ir.Move)
                and before is not None
                and before.dst is not None
                and before.dst is instr.sources[0]
                and uses.get(before.dst) == 1
                and defs.get(before.dst) == 1
            ):
                before.dst = instr.dst
                changed = True
                continue
            kept.append(instr)
        block.instructions = kept
    return changed


def remove_dead(function: Function) -> bool:
    """Drop instructions whose result nobody reads."""
    out = live_out(function)
    changed = False
    for block in function.blocks:
        live = set(out[block])
        kept: list[Instr] = []
        for instr in reversed(block.instructions):
            needed = instr.has_effect or instr is block.terminator or instr.dst is None or instr.dst in live
            if not needed:
                changed = True
                continue
            if instr.dst is not None:
                if instr.dst not in live and instr.has_effect:
                    instr.dst = None
                else:
                    live.discard(instr.dst)
            live.update(instr.uses())
            kept.append(instr)
        block.instructions = kept[::-1]
    return changed


def tidy_blocks(function: Function) -> None:
    """Thread jumps through empty blocks, drop unreachable ones, join straight lines."""
    changed = True
    while changed:
        changed = _thread(function)
        changed |= _drop_unreachable(function)
        changed |= _join(function)


def _destination(block: Block) -> Block:
    seen = {block}
    while len(block.instructions) == 1 and isinstance(block.instructions[0], ir.Goto):
        following = block.instructions[0].target
        if following in seen:
            break
        seen.add(following)
        block = following
    return block


def _thread(function: Function) -> bool:
    changed = False
    for block in function.blocks:
        last = block.terminator
        if isinstance(last, ir.Goto):
            target = _destination(last.target)
            changed |= target is not last.target
            last.target = target
        elif isinstance(last, ir.Branch):
            then, otherwise = _destination(last.then), _destination(last.otherwise)
            changed |= then is not last.then or otherwise is not last.otherwise
            last.then, last.otherwise = then, otherwise
            if then is otherwise:
                block.instructions[-1] = ir.Goto(line=last.line, target=then)
                changed = True
    return changed


def _drop_unreachable(function: Function) -> bool:
    seen, todo = set(), [function.blocks[0]]
    while todo:
        block = todo.pop()
        if block not in seen:
            seen.add(block)
            todo.extend(block.successors())
    kept = [block for block in function.blocks if block in seen]
    changed = len(kept) != len(function.blocks)
    function.blocks = kept
    return changed


def _join(function: Function) -> bool:
    counts: dict[Block, int] = {}
    for block in function.blocks:
        for successor in block.successors():
            counts[successor] = counts.get(successor, 0) + 1
    entry, changed = function.blocks[0], False
    gone: set[Block] = set()
    for block in function.blocks:
        if block in gone:
            continue
        while isinstance(block.terminator, ir.Goto):
            following = block.terminator.target
            if counts.get(following) != 1 or following is entry or following is block:
                break
            block.instructions = block.instructions[:-1] + following.instructions
            gone.add(following)
            changed = True
    function.blocks = [block for block in function.blocks if block not in gone]
    return changed


def fits_immediate(value: int) -> bool:
    """Whether the processor's 32-bit signed immediate holds ``value`` (taken modulo 2**64)."""
    return _IMM_MIN <= signed64(value) <= _IMM_MAX


def signed64(value: int) -> int:
    """``value`` modulo 2**64 as a signed number."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def legalize(function: Function) -> None:
    """Give every instruction the form that the processor has: where constants may stand, how far an offset goes."""
    for block in function.blocks:
        result: list[Instr] = []
        for instr in block.instructions:
            _legalize_constants(function, instr, result)
            if isinstance(instr, ir.Alu):
                _legalize_destination(function, instr, result)
            elif isinstance(instr, (ir.Load, ir.Store, ir.Atomic)):
                _legalize_offset(function, instr, result)
            result.append(instr)
        block.instructions = result


def _legalize_destination(function: Function, instr: ir.Alu, before: list[Instr]) -> None:
    """``v = a - v``: the processor writes ``a`` to ``v`` first, so it must read the old ``v`` elsewhere."""
    first, second = instr.sources
    if isinstance(second, ir.VReg) and second is instr.dst and first is not second and instr.op not in COMMUTATIVE:
        kept = function.register(second.name)
        before.append(ir.Move(kept, [second], instr.line))
        instr.sources[1] = kept


def _legalize_offset(function: Function, instr: ir.Load | ir.Store | ir.Atomic, before: list[Instr]) -> None:
    if instr.slot is None and not _OFFSET_MIN <= instr.offset <= _OFFSET_MAX:
        base = function.register("far")
        index = 0 if isinstance(instr, ir.Load) else 1
        before.append(ir.Alu(base, [instr.sources[index], instr.offset], instr.line, op=AluOp.ADD))
        instr.sources[index], instr.offset = base, 0


def _legalize_constants(function: Function, instr: Instr, before: list[Instr]) -> None:
    for index, source in enumerate(instr.sources):
        if not isinstance(source, int):
            continue
        if isinstance(instr, ir.Store) and instr.size < 8:
            bits = 8 * instr.size
            low = source & ((1 << bits) - 1)
            instr.sources[index] = low - (1 << bits) if low >> (bits - 1) else low
            continue
        value = signed64(source)
        instr.sources[index] = value
        wants_register = isinstance(instr, (ir.Alu, ir.Branch)) and index == 0
        wants_register |= isinstance(instr, (ir.Negate, ir.Extend, ir.ToBigEndian, ir.Atomic))
        if isinstance(instr, (ir.Move, ir.Call, ir.Return)):
            continue
        if wants_register or not fits_immediate(value):
            register = function.register("constant")
            before.append(ir.Move(register, [value], instr.line))
            instr.sources[index] = register

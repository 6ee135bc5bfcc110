"""Which registers are still needed where."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pybpf.lang.ir import Block, Function, VReg


def live_out(function: Function) -> dict[Block, set[VReg]]:
    """The registers needed after the end of each block (backward data flow to a fixed point)."""
    reads: dict[Block, set[VReg]] = {}
    writes: dict[Block, set[VReg]] = {}
    for block in function.blocks:
        read: set[VReg] = set()
        written: set[VReg] = set()
        for instr in block.instructions:
            read.update(register for register in instr.uses() if register not in written)
            if instr.dst is not None:
                written.add(instr.dst)
        reads[block], writes[block] = read, written
    live_in: dict[Block, set[VReg]] = {block: set(reads[block]) for block in function.blocks}
    out: dict[Block, set[VReg]] = {block: set() for block in function.blocks}
    changed = True
    while changed:
        changed = False
        for block in reversed(function.blocks):
            after: set[VReg] = set().union(*(live_in[successor] for successor in block.successors()))
            if after != out[block]:
                out[block] = after
                live_in[block] = reads[block] | (after - writes[block])
                changed = True
    return out

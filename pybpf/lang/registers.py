"""Which virtual register lives in which real one: graph colouring with spilling.

R0 to R5 are lost at every call, so what is live across one competes for R6 to R9. What finds no register is spilled
and the graph is coloured again; constants and addresses are made anew at each use instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pybpf.asm import R0, R1, R6, Register
from pybpf.lang import ir
from pybpf.lang.liveness import live_out
from pybpf.lang.optimize import COMMUTATIVE
from pybpf.lang.spill import spill

if TYPE_CHECKING:
    from pybpf.lang.ir import Block, Function, Instr, VReg

_ALL = tuple(Register(number) for number in range(10))
_SAVED = tuple(Register(number) for number in range(6, 10))
_ROUNDS = 32


@dataclass
class _Graph:
    neighbours: dict[VReg, set[VReg]] = field(default_factory=dict)
    across_call: set[VReg] = field(default_factory=set)
    weight: dict[VReg, float] = field(default_factory=dict)
    friends: dict[VReg, list[VReg]] = field(default_factory=dict)
    wishes: dict[VReg, list[Register]] = field(default_factory=dict)
    fixed: dict[VReg, Register] = field(default_factory=dict)

    def node(self, register: VReg) -> None:
        self.neighbours.setdefault(register, set())
        self.weight.setdefault(register, 0.0)

    def clash(self, one: VReg, other: VReg) -> None:
        if one is not other:
            self.neighbours[one].add(other)
            self.neighbours[other].add(one)

    def befriend(self, one: VReg, other: VReg) -> None:
        self.friends.setdefault(one, []).append(other)
        self.friends.setdefault(other, []).append(one)

    def wish(self, register: VReg, real: Register) -> None:
        self.wishes.setdefault(register, []).append(real)

    def palette(self, register: VReg) -> tuple[Register, ...]:
        return _SAVED if register in self.across_call else _ALL


def allocate(function: Function) -> dict[VReg, Register]:
    """A real register for every virtual one; ``function`` gets the code of what had to be spilled."""
    for _ in range(_ROUNDS):
        graph = _build(function)
        colours, homeless = _colour(graph)
        if not homeless:
            return colours
        spill(function, homeless)
    raise AssertionError(f"{function.name}: no registers found in {_ROUNDS} rounds")


def _build(function: Function) -> _Graph:
    graph, out, depth = _Graph(), live_out(function), loop_depth(function)
    graph.node(function.context)
    graph.wish(function.context, R1)
    for instr in function.instructions():
        for register in instr.uses():
            graph.node(register)
        if instr.dst is not None:
            graph.node(instr.dst)
        if isinstance(instr, ir.PacketLoad):
            graph.fixed[function.context] = R6
    for block in function.blocks:
        live = set(out[block])
        cost = float(10 ** min(depth[block], 6))
        for instr in reversed(block.instructions):
            _visit(graph, instr, live, cost)
    first = function.blocks[0]
    for register in live_before(first, out[first]):
        graph.clash(function.context, register)
    return graph


def live_before(block: Block, after: set[VReg]) -> set[VReg]:
    """The registers needed at the start of ``block``."""
    live = set(after)
    for instr in reversed(block.instructions):
        if instr.dst is not None:
            live.discard(instr.dst)
        live.update(instr.uses())
    return live


def _visit(graph: _Graph, instr: Instr, live: set[VReg], cost: float) -> None:
    written = instr.dst
    if written is not None:
        copied = instr.sources[0] if isinstance(instr, ir.Move) else None
        for register in live:
            if register is not copied:
                graph.clash(written, register)
        live.discard(written)
        graph.weight[written] += cost
    if instr.clobbers:
        graph.across_call.update(live)
    for register in instr.uses():
        live.add(register)
        graph.weight[register] += cost
    if isinstance(instr, ir.Alu) and written is not None:
        second = instr.sources[1]
        if isinstance(second, ir.VReg) and second is not instr.sources[0] and instr.op not in COMMUTATIVE:
            graph.clash(written, second)
    _preferences(graph, instr)


def _preferences(graph: _Graph, instr: Instr) -> None:
    first = instr.sources[0] if instr.sources else None
    if isinstance(instr, ir.Call):
        for index, source in enumerate(instr.sources):
            if isinstance(source, ir.VReg):
                graph.wish(source, Register(index + 1))
    if instr.clobbers and instr.dst is not None:
        graph.wish(instr.dst, R0)
    if isinstance(first, ir.VReg):
        if isinstance(instr, ir.Return):
            graph.wish(first, R0)
        elif instr.dst is not None and isinstance(instr, (ir.Move, ir.Alu, ir.Extend, ir.Negate, ir.ToBigEndian)):
            graph.befriend(instr.dst, first)


def loop_depth(function: Function) -> dict[Block, int]:
    """How many loops each block is in, taken from the jumps that go backwards."""
    position = {block: index for index, block in enumerate(function.blocks)}
    depth = dict.fromkeys(function.blocks, 0)
    for block in function.blocks:
        for successor in block.successors():
            if position[successor] <= position[block]:
                for inside in function.blocks[position[successor] : position[block] + 1]:
                    depth[inside] += 1
    return depth


def _colour(graph: _Graph) -> tuple[dict[VReg, Register], list[VReg]]:
    degree = {register: len(others) for register, others in graph.neighbours.items()}
    left = dict.fromkeys(register for register in graph.neighbours if register not in graph.fixed)
    stack: list[VReg] = []
    easy = [register for register in left if degree[register] < len(graph.palette(register))]
    while left:
        while easy:
            register = easy.pop()
            if register in left:
                _remove(graph, register, left, degree, easy)
                stack.append(register)
        if left:
            hard = min(left, key=lambda r: (r.pinned, graph.weight[r] / (degree[r] + 1), r.number))
            _remove(graph, hard, left, degree, easy)
            stack.append(hard)
    colours = dict(graph.fixed)
    homeless = []
    for register in reversed(stack):
        taken = {colours[other] for other in graph.neighbours[register] if other in colours}
        free = [real for real in graph.palette(register) if real not in taken]
        if free:
            colours[register] = _favourite(graph, register, free, colours)
        else:
            homeless.append(register)
    return colours, homeless


def _remove(graph: _Graph, register: VReg, left: dict[VReg, None], degree: dict[VReg, int], easy: list[VReg]) -> None:
    del left[register]
    for other in graph.neighbours[register]:
        degree[other] -= 1
        if other in left and degree[other] == len(graph.palette(other)) - 1:
            easy.append(other)


def _favourite(graph: _Graph, register: VReg, free: list[Register], colours: dict[VReg, Register]) -> Register:
    for friend in graph.friends.get(register, ()):
        if colours.get(friend) in free:
            return colours[friend]
    wishes = list(graph.wishes.get(register, ()))
    for friend in graph.friends.get(register, ()):
        wishes.extend(graph.wishes.get(friend, ()))
    for wish in wishes:
        if wish in free:
            return wish
    return free[0]

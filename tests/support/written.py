"""Classes of programs that tests write to object files."""

from __future__ import annotations

from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R4,
    add,
    assemble,
    call,
    call_function,
    exit_,
    load_function,
    load_map_value,
    lsh,
    mov,
    store,
)
from pybpf.asm.opcode import Size
from pybpf.asm.operands import SourceLine
from pybpf.hooks import kprobe, socket_filter, tracepoint, uprobe, uprobe_session, uretprobe
from pybpf.kernel.constants import ProgramType
from pybpf.lang import RawContext, Registers, SkBuff, session_is_return
from pybpf.maps import Array, HashMap, HashOfMaps, PerfEventArray, RingBuffer
from pybpf.object import BpfObject
from pybpf.program import ProgramSpec
from pybpf.types import Struct, byte_array, u16, u32, u64

BPF_LOOP = 181


class Flow(Struct):
    source: u32
    port: u16
    name: bytes = byte_array(8)


class Packets(BpfObject):
    """Maps of several kinds, two programs for sockets."""

    counts = Array(value=u64, max_entries=256)
    flows = HashMap(key=u32, value=Flow, max_entries=16)
    ring = RingBuffer(4096)
    perf = PerfEventArray()
    nested = HashOfMaps(key=u32, inner=Array(value=u64, max_entries=4), max_entries=8)

    @socket_filter
    def count(self, ctx: SkBuff) -> int:
        self.counts[ctx.u8(9)] += 1
        return 7

    @socket_filter
    def first(self, ctx: SkBuff) -> int:
        return ctx.u8(0)


class Probes(BpfObject):
    """One program for each kind of hook that libbpf has known for long."""

    @kprobe
    def entered(self, ctx: Registers) -> int:
        return 0

    @uprobe
    def called(self, ctx: Registers) -> int:
        return 0

    @uretprobe
    def returned(self, ctx: Registers) -> int:
        return 0

    @tracepoint
    def traced(self, ctx: RawContext) -> int:
        return 0


class Counting(BpfObject):
    """A counter for each way of attaching."""

    hits = Array(value=u64, max_entries=4)

    @uprobe
    def called(self, ctx: Registers) -> int:
        self.hits[0] += 1
        return 0

    @uretprobe
    def returned(self, ctx: Registers) -> int:
        self.hits[1] += 1
        return 0

    @tracepoint
    def traced(self, ctx: RawContext) -> int:
        self.hits[2] += 1
        return 0

    @socket_filter
    def received(self, ctx: SkBuff) -> int:
        self.hits[3] += 1
        return 0


class Session(BpfObject):
    """A program that calls a kernel function."""

    counts = Array(value=u64, max_entries=2)

    @uprobe_session
    def both(self, ctx: Registers) -> int:
        if session_is_return():
            self.counts[1] += 1
        return 0


class Functions(BpfObject):
    """A program in assembly: it calls a function, hands another to bpf_loop, and writes to a map in place."""

    total = Array(value=u64, max_entries=1)

    @socket_filter
    def main(self, ctx: SkBuff) -> int:
        return 0

    def compile(self) -> dict[str, ProgramSpec]:
        line = SourceLine("functions.s", 3, 1, "main")
        code = [
            mov(R0, 0).at(line),
            mov(R1, 5),
            load_function(R2, "step"),
            mov(R3, 0),
            mov(R4, 0),
            call(BPF_LOOP),
            mov(R1, 21),
            call_function("twice"),
            load_map_value(R1, "total", 0),
            store(Size.DW, R1, 0, R0),
            exit_(),
            mov(R0, R1).labelled("twice").at(SourceLine("functions.s", 20, 1, "twice")),
            lsh(R0, 1),
            add(R0, 1),
            exit_(),
            mov(R0, 0).labelled("step").at(SourceLine("functions.s", 30, 1, "step")),
            exit_(),
        ]
        return {"main": ProgramSpec("main", ProgramType.SOCKET_FILTER, assemble(code))}

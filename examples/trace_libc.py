"""Shows who calls a function of libc: ``sudo python examples/trace_libc.py [FUNCTION [SECONDS]]``."""

from __future__ import annotations

import sys
import time

from pybpf.elf import loaded_library
from pybpf.hooks import uprobe
from pybpf.lang import Registers, Struct, byte_array, get_current_comm, get_current_pid_tgid, u64
from pybpf.maps import RingBuffer
from pybpf.object import BpfObject


class Call(Struct):
    """One event; ``thread`` is process id << 32 | thread id."""

    thread: u64
    argument: u64
    comm: bytes = byte_array(16)


class Calls(BpfObject):
    """Sends an event at each call."""

    calls = RingBuffer(1 << 16)

    @uprobe
    def called(self, ctx: Registers) -> int:
        """The function was called."""
        call = self.calls.reserve(Call)
        if call is not None:
            call.thread = get_current_pid_tgid()
            call.argument = ctx.argument(0)
            get_current_comm(call.comm, 16)
            self.calls.submit(call)
        return 0


function = sys.argv[1] if len(sys.argv) > 1 else "getenv"
end = time.monotonic() + (float(sys.argv[2]) if len(sys.argv) > 2 else 5)
with Calls().load() as tracer, tracer.called.attach(loaded_library("libc.so"), function):
    while time.monotonic() < end:
        tracer.calls.poll(0.2)
        for call in tracer.calls.read(Call, timeout=0):
            comm = call.comm.rstrip(b"\0").decode(errors="backslashreplace")
            print(f"{comm} (pid {call.thread >> 32}) called {function}({call.argument:#x})", flush=True)
            if time.monotonic() >= end:
                break

"""Helpers by number (``enum bpf_func_id``): maps, rings, reads, identities, clocks, loops.

A helper takes the machine and the values of as many registers as it has further parameters, and gives r0; an error is a
negative errno, as in the kernel, a pointer that cannot be used a fault. Give a machine your own to replace or add some.
"""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable

from pybpf.vm import map_helpers as maps
from pybpf.vm.fault import FaultKind, Trap
from pybpf.vm.templates import M32, signed

if TYPE_CHECKING:
    from pybpf.vm.machine import Machine

_COMM_SIZE = 16
_MAX_LOOPS = 1 << 23


def loop(machine: Machine, rounds: int, function: int, context: int, flags: int) -> int:
    """181: call ``function(index, context)`` until it gives 1: how many rounds there were."""
    rounds &= M32
    if flags:
        return -errno.EINVAL
    if rounds > _MAX_LOOPS:
        return -errno.E2BIG
    for index in range(rounds):
        if machine.call_back(function, index, context):
            return index + 1
    return rounds


def probe_read(machine: Machine, destination: int, size: int, address: int) -> int:
    """4, 112, 113: copy memory of the machine or of :attr:`Machine.foreign`; -EFAULT and zeros where there is none."""
    size &= M32
    machine.memory.require(destination, size)
    data = machine.foreign.read(address, size)
    machine.memory.write(destination, bytes(size) if data is None else data)
    return -errno.EFAULT if data is None else 0


def probe_read_str(machine: Machine, destination: int, size: int, address: int) -> int:
    """45, 114, 115: copy a string, cut at ``size`` bytes; its length with the NUL."""
    size &= M32
    if not size:
        return 0
    machine.memory.require(destination, size)
    data = bytearray()
    while len(data) < size - 1:
        one = machine.foreign.read(address + len(data), 1)
        if one is None:
            machine.memory.write(destination, bytes(size))
            return -errno.EFAULT
        if one == b"\0":
            break
        data += one
    machine.memory.write(destination, data + b"\0")
    return len(data) + 1


def trace_printk(machine: Machine, text: int, size: int, first: Any, second: Any, third: Any) -> int:
    """6: append a line to :attr:`Machine.printed`. Knows %d %i %u %x %c %p %s with the lengths l and ll."""
    form = machine.memory.read(text, size & M32).split(b"\0")[0].decode("utf-8", "replace")
    line = _formatted(machine, form, [first, second, third])
    machine.printed.append(line)
    return len(line)


def _formatted(machine: Machine, form: str, values: list[Any]) -> str:
    parts = form.replace("%%", "\0").split("%")
    line = parts[0]
    for part, value in zip(parts[1:], values):
        letters = part.lstrip("0123456789l")
        kind, bits = letters[:1], 64 if "l" in part[: len(part) - len(letters)] else 32
        if value is None:
            raise Trap(FaultKind.UNINITIALISED_REGISTER, "an argument of trace_printk")
        if kind in ("d", "i"):
            line += str(signed(value, bits))
        elif kind == "u":
            line += str(value & (1 << bits) - 1)
        elif kind in ("x", "p"):
            line += f"{value & (1 << (64 if kind == 'p' else bits)) - 1:x}"
        elif kind == "c":
            line += chr(value & 0xFF)
        elif kind == "s":
            line += (machine.foreign.string(value) or b"").decode("utf-8", "replace")
        else:
            raise Trap(FaultKind.BAD_ARGUMENT, f"trace_printk does not know %{part}")
        line += letters[1:]
    return line.replace("\0", "%")


def get_current_comm(machine: Machine, destination: int, size: int) -> int:
    """16: the name of this thread."""
    size &= M32
    machine.memory.require(destination, size)
    name = Path("/proc/thread-self/comm").read_bytes().rstrip(b"\n")[: _COMM_SIZE - 1]
    machine.memory.write(destination, name[: size - 1].ljust(size, b"\0") if size else b"")
    return 0


def skb_load_bytes(machine: Machine, context: int, offset: int, destination: int, size: int) -> int:
    """26: copy a part of the packet; -EFAULT and zeros past its end."""
    packet = machine.packet
    if packet is None or context != packet.context.address:
        raise Trap(FaultKind.BAD_ARGUMENT, "this is not the context of a packet", context)
    start, size = packet.start + (offset & M32), size & M32
    machine.memory.require(destination, size)
    inside = start + size <= len(packet.frame)
    machine.memory.write(destination, packet.frame[start : start + size] if inside else bytes(size))
    return 0 if inside else -errno.EFAULT


def strncmp(machine: Machine, first: int, size: int, second: int) -> int:
    """182: compare a string of at most ``size`` bytes with a constant one."""
    for index in range(size & M32):
        a = machine.memory.read(first + index, 1)[0]
        b = machine.memory.read(second + index, 1)[0]
        if a != b or not a:
            return (a > b) - (a < b)
    return 0


def _simple(value: Callable[[], int]) -> Callable[[Machine], int]:
    return lambda machine: value()


HELPERS: Mapping[int, Callable[..., int]] = MappingProxyType(
    {
        1: maps.map_lookup_elem,
        2: maps.map_update_elem,
        3: maps.map_delete_elem,
        4: probe_read,
        5: _simple(time.monotonic_ns),
        6: trace_printk,
        7: _simple(lambda: random.getrandbits(32)),
        8: lambda machine: machine.cpu,
        12: maps.tail_call,
        14: _simple(lambda: os.getpid() << 32 | threading.get_native_id()),
        15: _simple(lambda: os.getgid() << 32 | os.getuid()),
        16: get_current_comm,
        25: maps.perf_event_output,
        26: skb_load_bytes,
        42: lambda machine: 0,
        45: probe_read_str,
        87: maps.map_push_elem,
        88: maps.map_pop_elem,
        89: maps.map_peek_elem,
        112: probe_read,
        113: probe_read,
        114: probe_read_str,
        115: probe_read_str,
        125: _simple(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)),
        130: maps.ringbuf_output,
        131: maps.ringbuf_reserve,
        132: maps.ringbuf_submit,
        133: maps.ringbuf_discard,
        134: maps.ringbuf_query,
        160: _simple(lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC)),
        164: maps.for_each_map_elem,
        174: lambda machine, context: machine.cookie,
        181: loop,
        182: strncmp,
        195: maps.map_lookup_percpu_elem,
    }
)
"""What a machine knows unless told otherwise."""

KFUNCS: Mapping[str, Callable[..., int]] = MappingProxyType(
    {"bpf_session_is_return": lambda machine: machine.is_return}
)
"""Kernel functions by name, as far as they are known."""

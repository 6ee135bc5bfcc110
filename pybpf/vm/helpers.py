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
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from pybpf.vm.fault import FaultKind, Trap
from pybpf.vm.maps import KeyedVmMap, VmMap
from pybpf.vm.programs import MAX_TAIL_CALLS, TailCall, VmPrograms
from pybpf.vm.pushed import VmPushed
from pybpf.vm.rings import Reserved, VmRing
from pybpf.vm.templates import M32, signed

if TYPE_CHECKING:
    from pybpf.vm.machine import Machine

M = TypeVar("M", bound=VmMap)

_COMM_SIZE = 16
_MAX_LOOPS = 1 << 23


def _map(machine: Machine, address: int, kind: type[M]) -> M:
    found = machine.map_at(address)
    if not isinstance(found, kind):
        raise Trap(FaultKind.BAD_ARGUMENT, f"map {found.name} is of another kind", address)
    return found


def map_lookup_elem(machine: Machine, table: int, key: int) -> int:
    """1: the address of the value, or 0."""
    live = _map(machine, table, KeyedVmMap)
    return live.element(machine.memory.read(key, live.key_size), machine.cpu)


def map_update_elem(machine: Machine, table: int, key: int, value: int, flags: int) -> int:
    """2: store a copy of the value."""
    live = _map(machine, table, KeyedVmMap)
    memory = machine.memory
    return live.put(memory.read(key, live.key_size), memory.read(value, live.value_size), flags, machine.cpu)


def map_delete_elem(machine: Machine, table: int, key: int) -> int:
    """3: delete the element."""
    live = _map(machine, table, KeyedVmMap)
    return live.drop(machine.memory.read(key, live.key_size))


def map_lookup_percpu_elem(machine: Machine, table: int, key: int, cpu: int) -> int:
    """195: another CPU's value; 0 when there is no such CPU."""
    live = _map(machine, table, KeyedVmMap)
    return live.element(machine.memory.read(key, live.key_size), cpu) if cpu & M32 < live.cpus else 0


def for_each_map_elem(machine: Machine, table: int, function: int, context: int, flags: int) -> int:
    """164: call ``function(map, key, value, context)`` until it gives 1: how many elements it saw."""
    if flags:
        return -errno.EINVAL
    live = _map(machine, table, KeyedVmMap)
    count = 0
    for key in live.raw_keys():
        region = machine.memory.add(key, "key")
        try:
            count += 1
            if machine.call_back(function, table, region.address, live.element(key, machine.cpu), context):
                break
        finally:
            machine.memory.remove(region)
    return count


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


def tail_call(machine: Machine, context: int, table: int, index: int) -> int:
    """12: go on as another program; falls through when there is none, or after 33 of them."""
    target = _map(machine, table, VmPrograms).target(index & M32)
    if target is None or machine.tail_calls == MAX_TAIL_CALLS:
        return -errno.ENOENT
    if machine.frames.depth:
        raise Trap(FaultKind.BAD_CALL, "tail calls from functions of a program are not here")
    if machine.reserved:
        raise Trap(FaultKind.UNRELEASED)
    raise TailCall(target, context)


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


def map_push_elem(machine: Machine, table: int, value: int, flags: int) -> int:
    """87: put a value into a queue or a stack."""
    live = _map(machine, table, VmPushed)
    return live.put(machine.memory.read(value, live.value_size), flags)


def map_pop_elem(machine: Machine, table: int, value: int) -> int:
    """88: take the next value out; -ENOENT and zeros when there is none."""
    return _taken(machine, table, value, keep=False)


def map_peek_elem(machine: Machine, table: int, value: int) -> int:
    """89: the next value, which stays."""
    return _taken(machine, table, value, keep=True)


def _taken(machine: Machine, table: int, value: int, *, keep: bool) -> int:
    live = _map(machine, table, VmPushed)
    machine.memory.require(value, live.value_size)
    found = live.take(keep=keep)
    machine.memory.write(value, bytes(live.value_size) if found is None else found)
    return -errno.ENOENT if found is None else 0


def perf_event_output(machine: Machine, context: int, table: int, flags: int, data: int, size: int) -> int:
    """25: append a record to a perf buffer."""
    record = machine.memory.read(data, size)
    return 0 if _map(machine, table, VmRing).output(record) else -errno.ENOSPC


def ringbuf_output(machine: Machine, ring: int, data: int, size: int, flags: int) -> int:
    """130: append a record to a ring buffer."""
    return 0 if _map(machine, ring, VmRing).output(machine.memory.read(data, size)) else -errno.EAGAIN


def ringbuf_reserve(machine: Machine, ring: int, size: int, flags: int) -> int:
    """131: the address of a new record, or 0 when the ring is full."""
    live = _map(machine, ring, VmRing)
    if flags or size > live.size:
        return 0
    record = live.reserve(size)
    if record is None:
        return 0
    machine.reserved[record.region.address] = record
    return record.region.address


def ringbuf_submit(machine: Machine, record: int, flags: int) -> int:
    """132: hand a reserved record to the readers."""
    _reserved(machine, record).finish(keep=True)
    return 0


def ringbuf_discard(machine: Machine, record: int, flags: int) -> int:
    """133: give a reserved record back."""
    _reserved(machine, record).finish(keep=False)
    return 0


def ringbuf_query(machine: Machine, ring: int, what: int) -> int:
    """134: bytes waiting (0) or the size of the ring (1); the positions (2, 3) are not kept here."""
    live = _map(machine, ring, VmRing)
    return {0: live.pending(), 1: live.size}.get(what, 0)


def _reserved(machine: Machine, address: int) -> Reserved:
    record: Reserved | None = machine.reserved.pop(address, None)
    if record is None:
        raise Trap(FaultKind.BAD_ARGUMENT, f"{address:#x} is no reserved record", address)
    return record


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
        1: map_lookup_elem,
        2: map_update_elem,
        3: map_delete_elem,
        4: probe_read,
        5: _simple(time.monotonic_ns),
        6: trace_printk,
        7: _simple(lambda: random.getrandbits(32)),
        8: lambda machine: machine.cpu,
        12: tail_call,
        14: _simple(lambda: os.getpid() << 32 | threading.get_native_id()),
        15: _simple(lambda: os.getgid() << 32 | os.getuid()),
        16: get_current_comm,
        25: perf_event_output,
        26: skb_load_bytes,
        42: lambda machine: 0,
        45: probe_read_str,
        87: map_push_elem,
        88: map_pop_elem,
        89: map_peek_elem,
        112: probe_read,
        113: probe_read,
        114: probe_read_str,
        115: probe_read_str,
        125: _simple(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)),
        130: ringbuf_output,
        131: ringbuf_reserve,
        132: ringbuf_submit,
        133: ringbuf_discard,
        134: ringbuf_query,
        160: _simple(lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC)),
        164: for_each_map_elem,
        174: lambda machine, context: machine.cookie,
        181: loop,
        182: strncmp,
        195: map_lookup_percpu_elem,
    }
)
"""What a machine knows unless told otherwise."""

KFUNCS: Mapping[str, Callable[..., int]] = MappingProxyType(
    {"bpf_session_is_return": lambda machine: machine.is_return}
)
"""Kernel functions by name, as far as they are known."""

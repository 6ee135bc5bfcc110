"""Helpers on maps: elements, queues, rings, program arrays."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, TypeVar

from pybpf.vm.fault import FaultKind, Trap
from pybpf.vm.maps import KeyedVmMap, VmMap
from pybpf.vm.programs import MAX_TAIL_CALLS, TailCall, VmPrograms
from pybpf.vm.pushed import VmPushed
from pybpf.vm.rings import Reserved, VmRing
from pybpf.vm.templates import M32

if TYPE_CHECKING:
    from pybpf.vm.machine import Machine

M = TypeVar("M", bound=VmMap)


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

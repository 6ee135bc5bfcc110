"""Maps of the vm refuse, forget and match as the kernel's do; programs reach them through helpers."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pybpf.asm import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R6,
    R10,
    Instruction,
    Size,
    add,
    call,
    exit_,
    load,
    load_function,
    load_map,
    load_map_value,
    mov,
    store,
)
from pybpf.errors import KernelError
from pybpf.maps import Array, BloomFilter, Ipv4Prefix, LpmTrie, LruPerCpuHashMap, Map, Queue, RingBuffer, Stack
from pybpf.types import u32, u64
from pybpf.vm import FaultKind, Machine, Memory, VmFault, vm_map
from pybpf.vm.objects import UnsupportedMap


def live(spec: Map, memory: Memory | None = None) -> Any:
    """The map of a declaration."""
    return vm_map(spec, Memory() if memory is None else memory, name="m")


def run(spec: Map, program: list[Instruction]) -> tuple[int, Any]:
    """What ``program`` gives, and its map ``m`` after it."""
    memory = Memory()
    table = live(spec, memory)
    return Machine(program, memory=memory, maps={"m": table}).run(), table


def test_the_longest_prefix_matches() -> None:
    trie = live(LpmTrie(key=Ipv4Prefix, value=u32, max_entries=3))
    for number, network in enumerate(("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16")):
        trie[Ipv4Prefix.of(network)] = number
    found = [trie[Ipv4Prefix.of(address)] for address in ("10.1.2.3", "10.2.0.1", "192.168.0.1", "10.0.0.0/8")]
    assert found == [2, 1, 0, 1]
    with pytest.raises(KernelError, match="E2BIG"):
        trie[Ipv4Prefix.of("11.0.0.0/8")] = 9
    del trie[Ipv4Prefix.of("10.1.0.0/16")]
    assert trie[Ipv4Prefix.of("10.1.2.3")] == 1
    del trie[Ipv4Prefix.of("0.0.0.0/0")]
    assert trie.lookup(Ipv4Prefix.of("192.168.0.1")) is None


@pytest.mark.parametrize(
    ("spec", "order"), [(Queue(value=u64, max_entries=3), [1, 2, 3]), (Stack(value=u64, max_entries=3), [3, 2, 1])]
)
def test_values_without_keys(spec: Map, order: list[int]) -> None:
    values = live(spec)
    for value in (1, 2, 3):
        values.push(value)
    with pytest.raises(KernelError, match="E2BIG"):
        values.push(4)
    assert values.peek() == order[0]
    assert list(values.drain()) == order
    assert values.pop() is None
    for value in (0, 1, 2, 3):
        values.push(value, replace=True)
    assert list(values.drain()) == order


def test_programs_push_and_pop() -> None:
    program = [
        *(store(Size.DW, R10, -8, 42), load_map(R1, "m"), mov(R2, R10), add(R2, -8), mov(R3, 0), call(87)),
        *(load_map(R1, "m"), mov(R2, R10), add(R2, -16), call(88)),
        *(load_map(R1, "m"), mov(R2, R10), add(R2, -8), call(89)),
        *(load(Size.DW, R1, R10, -16), add(R0, R1), exit_()),
    ]
    result, queue = run(Queue(value=u64, max_entries=1), program)
    assert result == 42 - errno.ENOENT
    assert queue.peek() is None


def test_an_lru_of_each_cpu_forgets() -> None:
    table = live(LruPerCpuHashMap(key=u32, value=u64, max_entries=2))
    for key in (1, 2, 3):
        table.update(key, [key, 10 * key])
    assert [table.per_cpu(key) for key in (1, 2, 3)] == [None, [2, 20], [3, 30]]


def test_the_only_value_of_an_array_has_an_address() -> None:
    result, table = run(
        Array(value=u64, max_entries=1), [load_map_value(R1, "m", 4), store(Size.W, R1, 0, 7), mov(R0, 1), exit_()]
    )
    assert (result, table[0]) == (1, 7 << 32)
    with pytest.raises(VmFault) as caught:
        run(
            Array(value=u64, max_entries=1), [load_map_value(R1, "m", 4), store(Size.DW, R1, 0, 7), mov(R0, 1), exit_()]
        )
    assert caught.value.kind is FaultKind.OUT_OF_BOUNDS


def test_a_value_ends_where_its_element_ends() -> None:
    program = [
        *(store(Size.W, R10, -4, 0), load_map(R1, "m"), mov(R2, R10), add(R2, -4), call(1)),
        *(load(Size.DW, R0, R0, 8), exit_()),
    ]
    with pytest.raises(VmFault) as caught:
        run(Array(value=u64, max_entries=4), program)
    assert caught.value.kind is FaultKind.OUT_OF_BOUNDS
    assert "8 bytes into value of m of 8" in str(caught.value)


def test_a_program_loops_through_a_function_of_its_own() -> None:
    program = [
        *(mov(R1, 10), load_function(R2, "each"), mov(R3, R10), add(R3, -8), store(Size.DW, R10, -8, 0), mov(R4, 0)),
        *(call(181), load(Size.DW, R1, R10, -8), add(R0, R1), exit_()),
        *(load(Size.DW, R3, R2).labelled("each"), add(R3, R1), store(Size.DW, R2, 0, R3), mov(R0, 0), exit_()),
    ]
    assert Machine(program).run() == 10 + 45


def test_an_unfinished_record_is_a_fault() -> None:
    program = [load_map(R1, "m"), mov(R2, 8), mov(R3, 0), call(131), mov(R0, 0), exit_()]
    with pytest.raises(VmFault) as caught:
        run(RingBuffer(4096), program)
    assert caught.value.kind is FaultKind.UNRELEASED


def test_a_record_is_gone_once_it_is_submitted() -> None:
    program = [
        *(load_map(R1, "m"), mov(R2, 8), mov(R3, 0), call(131), mov(R6, R0), mov(R1, R6), mov(R2, 0), call(132)),
        *(store(Size.DW, R6, 0, 1), mov(R0, 0), exit_()),
    ]
    with pytest.raises(VmFault) as caught:
        run(RingBuffer(4096), program)
    assert (caught.value.kind, caught.value.slot) == (FaultKind.UNMAPPED, 9)


def test_maps_that_are_not_here_are_refused() -> None:
    with pytest.raises(UnsupportedMap, match="BLOOM_FILTER"):
        live(BloomFilter(value=u64, max_entries=4))

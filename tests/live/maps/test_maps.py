"""Maps of the running kernel, from Python and from programs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpf.errors import KernelError
from pybpf.kernel.constants import MapFlag, MapType, ProgramType, UpdateFlag
from pybpf.kernel.cpus import possible_cpus
from pybpf.kernel.map_ops import map_freeze, map_keys, map_lookup_and_delete
from pybpf.kernel.prog_ops import prog_load, prog_test_run
from pybpf.maps import Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap
from pybpf.types import Struct, byte_array, u16, u32, u64
from tests.support.tiny_programs import PACKET, count_into


class Call(Struct):
    record: u64
    depth: u32
    comm: bytes = byte_array(4)


CALLS = HashMap(key=u64, value=Call, max_entries=64, name="calls")


@pytest.fixture
def calls() -> Iterator[HashMap[int, Call]]:
    with CALLS.create() as live:
        yield live


def call(number: int) -> Call:
    return Call(record=number, depth=number % 7, comm=b"abcd")


def test_an_element_comes_back_as_it_went(calls: HashMap[int, Call]) -> None:
    assert calls.lookup(1) is None
    assert 1 not in calls
    calls[1] = call(1)
    assert calls[1] == call(1)
    assert 1 in calls
    calls.update(1, call(2), UpdateFlag.EXIST)
    assert calls.lookup(1) == call(2)
    assert calls.delete(1)
    assert not calls.delete(1)
    with pytest.raises(KeyError):
        calls[1]
    with pytest.raises(KeyError):
        del calls[1]


def test_the_flags_of_an_update(calls: HashMap[int, Call]) -> None:
    with pytest.raises(KernelError) as caught:
        calls.update(1, call(1), UpdateFlag.EXIST)
    assert caught.value.errno == errno.ENOENT
    calls.update(1, call(1), UpdateFlag.NOEXIST)
    with pytest.raises(KernelError) as caught:
        calls.update(1, call(1), UpdateFlag.NOEXIST)
    assert caught.value.errno == errno.EEXIST


def test_a_full_map_says_that_it_is_full(calls: HashMap[int, Call]) -> None:
    for number in range(64):
        calls[number] = call(number)
    with pytest.raises(KernelError, match=r"map calls.*the map is full") as caught:
        calls[64] = call(64)
    assert caught.value.errno == errno.E2BIG


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1), max_size=64))
def test_a_walk_gives_every_element_once(calls: HashMap[int, Call], content: dict[int, int]) -> None:
    calls.clear()
    for key, depth in content.items():
        calls[key] = Call(record=key, depth=depth)
    assert {key: value.depth for key, value in calls.items()} == content
    assert sorted(calls) == sorted(calls.keys()) == sorted(content)
    assert sorted(value.record for value in calls.values()) == sorted(content)
    walked = [int.from_bytes(key, "little") for key in map_keys(calls.fd, 8, 128)]
    assert sorted(walked) == sorted(content)
    drained = list(calls.drain())
    assert {key: value.depth for key, value in drained} == content
    assert len(drained) == len(content)
    assert list(calls.items()) == []


def test_a_large_map_is_walked_in_several_batches() -> None:
    with HashMap(key=u32, value=u64, max_entries=50_000).create() as large:
        for key in range(40_000):
            large[key] = key * 3
        assert dict(large.items()) == {key: key * 3 for key in range(40_000)}
        assert dict(large.drain()) == {key: key * 3 for key in range(40_000)}
        assert dict(large.items()) == {}


def test_an_element_is_taken_in_one_step(calls: HashMap[int, Call]) -> None:
    calls[5] = call(5)
    key = (5).to_bytes(8, "little")
    assert map_lookup_and_delete(calls.fd, key, 16) == call(5).pack()
    assert map_lookup_and_delete(calls.fd, key, 16) is None


def test_what_the_kernel_says_of_a_map(calls: HashMap[int, Call]) -> None:
    info = calls.info()
    assert (info.type, info.name) == (MapType.HASH, "calls")
    assert (info.key_size, info.value_size, info.max_entries) == (8, 16, 64)


def test_the_declaration_stays_inert_and_makes_as_many_as_wanted() -> None:
    with CALLS.create() as first, CALLS.create("second", max_entries=2) as second:
        first[1] = call(1)
        assert second.lookup(1) is None
        assert (second.info().name, second.info().max_entries) == ("second", 2)
    assert not CALLS.live
    assert not first.live


def test_an_array_is_there_from_the_start_and_loses_nothing() -> None:
    with Array(value=Call, max_entries=3).create() as array:
        assert len(array) == 3
        assert array[2] == Call(record=0, depth=0)
        assert array.lookup(3) is None
        with pytest.raises(KernelError):
            array.delete(0)
        array[1] = call(9)
        assert [value.record for value in array.values()] == [0, 9, 0]
        assert [value.record for _, value in array.drain()] == [0, 9, 0]
        assert array[1] == Call(record=0, depth=0)
        array[0] = call(1)
        array.clear()
        assert [value.record for value in array.values()] == [0, 0, 0]


def test_an_lru_map_makes_room_by_itself() -> None:
    with LruHashMap(key=u32, value=u16, max_entries=128).create() as recent:
        for key in range(1000):
            recent[key] = 1
        assert 0 < sum(1 for _ in recent) <= 128


@pytest.mark.parametrize("kind", ["array", "hash"])
def test_per_cpu_values_are_written_and_read_one_by_one(kind: str) -> None:
    spec = (
        PerCpuArray(value=u32, max_entries=2) if kind == "array" else PerCpuHashMap(key=u32, value=u32, max_entries=2)
    )
    values = [cpu + 1 for cpu in range(len(possible_cpus()))]
    with spec.create() as live:
        live.update(1, values)
        assert live.per_cpu(1) == values
        assert live.total(1) == sum(values)
        assert dict(live.items())[1] == values
        live.clear()
        assert live.total(1) == 0


def test_a_program_counts_on_its_own_cpu() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with (
        PerCpuArray(value=u64, max_entries=1).create() as counts,
        prog_load(ProgramType.SOCKET_FILTER, count_into(counts.fileno())) as program,
    ):
        try:
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                prog_test_run(program, PACKET, repeat=cpu + 5)
        finally:
            os.sched_setaffinity(0, cpus)
        by_cpu = dict(zip(possible_cpus(), counts.per_cpu(0) or []))
        assert {cpu: by_cpu[cpu] for cpu in cpus} == {cpu: cpu + 5 for cpu in cpus}
        assert counts.total(0) == sum(cpu + 5 for cpu in cpus)


def test_structs_per_cpu_have_no_total() -> None:
    with PerCpuArray(value=Call, max_entries=1).create() as live, pytest.raises(TypeError, match="no integers"):
        live.total(0)


def test_a_frozen_map_is_read_only_for_python() -> None:
    with Array(value=u64, max_entries=1, flags=MapFlag.RDONLY_PROG).create() as constants:
        constants[0] = 5
        map_freeze(constants.fd)
        with pytest.raises(KernelError):
            constants[0] = 6
        assert constants[0] == 5


def test_a_kind_the_kernel_refuses_is_named_with_its_version() -> None:
    with pytest.raises(KernelError, match=r"ARRAY maps came with Linux 3\.19"):
        Array(value=u64, max_entries=0, name="empty").create()

"""Maps as they are declared: inert, printable, and the same class on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pybpf.errors import NotLoaded, OutsideProgram
from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.cpus import possible_cpus
from pybpf.maps import (
    Array,
    HashMap,
    LruHashMap,
    Map,
    PerCpuArray,
    PerCpuHashMap,
    PerfEventArray,
    RingBuffer,
)
from pybpf.types import Struct, u16, u32, u64


class Call(Struct):
    record: u64
    depth: u32


class Holder:
    """What BpfObject is to a map: the class shows declarations, an instance the live ones."""

    calls = HashMap(key=u64, value=Call, max_entries=16)
    events = RingBuffer(1 << 16)
    renamed = Array(value=u64, max_entries=1, name="other")

    def __init__(self) -> None:
        self.asked: list[str] = []

    def live_map(self, name: str) -> Map:
        self.asked.append(name)
        return type(self).__dict__[name]  # type: ignore[no-any-return]


def test_the_class_shows_the_declaration() -> None:
    assert Holder.calls.name == "calls"
    assert Holder.calls.map_type is MapType.HASH
    assert (Holder.calls.key, Holder.calls.value, Holder.calls.max_entries) == (u64, Call, 16)
    assert (Holder.calls.key_size, Holder.calls.value_size) == (8, 16)
    assert not Holder.calls.live


def test_an_instance_asks_for_its_live_map_by_name() -> None:
    holder = Holder()
    assert holder.calls is Holder.calls
    assert holder.events is Holder.events
    assert holder.asked == ["calls", "events"]


def test_a_given_name_stays() -> None:
    assert Holder.renamed.name == "other"


@pytest.mark.parametrize(
    ("spec", "kind", "sizes"),
    [
        (Array(value=Call, max_entries=3), MapType.ARRAY, (4, 16, 3)),
        (HashMap(key=u16, value=u64, max_entries=3), MapType.HASH, (2, 8, 3)),
        (LruHashMap(key=Call, value=u16, max_entries=3), MapType.LRU_HASH, (16, 2, 3)),
        (PerCpuArray(value=u32, max_entries=3), MapType.PERCPU_ARRAY, (4, 4, 3)),
        (PerCpuHashMap(key=u32, value=u32, max_entries=3), MapType.PERCPU_HASH, (4, 4, 3)),
        (RingBuffer(4096), MapType.RINGBUF, (0, 0, 4096)),
        (PerfEventArray(), MapType.PERF_EVENT_ARRAY, (4, 4, 0)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_declaration_says_to_the_kernel(spec: Map, kind: MapType, sizes: tuple[int, int, int]) -> None:
    assert spec.map_type is kind
    assert (spec.key_size, spec.value_size, spec.max_entries) == sizes


USES: list[tuple[Map, Callable[[Any], object]]] = [
    (Holder.calls, lambda m: m.lookup(1)),
    (Holder.calls, lambda m: m[1]),
    (Holder.calls, lambda m: list(m.items())),
    (Holder.calls, lambda m: m.clear()),
    (Holder.calls, lambda m: m.fileno()),
    (Holder.calls, lambda m: m.fd),
    (Holder.calls, lambda m: m.__enter__()),
    (Holder.events, lambda m: m.poll(0)),
    (Holder.events, lambda m: m.consume(print)),
    (Holder.events, lambda m: m.read(u64)),
    (Holder.renamed, lambda m: m.clear()),
    (PerfEventArray(name="perf"), lambda m: m.lost),
]


@pytest.mark.parametrize(("spec", "use"), USES)
def test_using_a_declaration_says_that_it_is_one(spec: Map, use: Callable[[Any], object]) -> None:
    with pytest.raises(NotLoaded, match=spec.name):
        use(spec)


@pytest.mark.parametrize(
    "use",
    [
        lambda: Holder.events.reserve(Call),
        lambda: Holder.events.submit(None),
        lambda: Holder.events.discard(None),
        lambda: Holder.events.output(1),
        lambda: PerfEventArray().output(None, 1),
    ],
)
def test_what_only_programs_can_do_says_so_in_python(use: Callable[[], object]) -> None:
    with pytest.raises(OutsideProgram, match="only inside a BPF program"):
        use()


@pytest.mark.parametrize("size", [0, -1, 3, 4097])
def test_a_ring_that_is_no_power_of_two_is_refused_where_it_is_declared(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        RingBuffer(size)
    with pytest.raises(ValueError, match="power of two"):
        PerfEventArray(pages=size)


@pytest.mark.parametrize("entries", [-1, 1 << 32])
def test_a_number_of_entries_beyond_32_bits_is_refused(entries: int) -> None:
    with pytest.raises(ValueError, match="max_entries"):
        HashMap(key=u32, value=u32, max_entries=entries)


def test_a_declaration_prints_what_was_declared() -> None:
    assert repr(Holder.calls) == "HashMap('calls', key=u64, value=Call, max_entries=16)"
    assert repr(RingBuffer(4096)) == "RingBuffer(max_entries=4096)"


def test_flags_are_kept() -> None:
    assert HashMap(key=u32, value=u32, max_entries=1, flags=MapFlag.NO_PREALLOC).flags == MapFlag.NO_PREALLOC


def test_per_cpu_values_are_one_a_cpu() -> None:
    spec = PerCpuHashMap(key=u32, value=u32, max_entries=1)
    with pytest.raises(ValueError, match="possible CPUs"):
        spec._pack_value([1] * (len(possible_cpus()) + 1))
    values = list(range(len(possible_cpus())))
    data = spec._pack_value(values)
    assert len(data) == 8 * len(values)
    assert spec._unpack_value(data) == values

"""Declarations of the further kinds: what they refuse, what they set by themselves, what is for programs only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.errors import IncompatibleMap, NotLoaded, OutsideProgram
from pybpf.kernel.constants import MapFlag, MapType
from pybpf.maps import (
    Arena,
    Array,
    ArrayOfMaps,
    BloomFilter,
    HashMap,
    HashOfMaps,
    InodeStorage,
    Ipv4Prefix,
    Ipv6Prefix,
    LpmTrie,
    LruPerCpuHashMap,
    MappedArray,
    ProgramArray,
    Queue,
    SkStorage,
    Stack,
    TaskStorage,
    UserRingBuffer,
)
from pybpf.maps.type_info import type_info
from pybpf.types import Struct, byte_array, u16, u32, u64

INNER = Array(value=u64, max_entries=4)


class Headless(Struct):
    length: u16
    address: bytes = byte_array(4)


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: LpmTrie(key=u32, value=u32, max_entries=1), "the prefix's bits"),
        (lambda: LpmTrie(key=Headless, value=u32, max_entries=1), "the prefix's bits"),
        (lambda: BloomFilter(value=u32, max_entries=1, hashes=16), "1 to 15 hash functions, not 16"),
        (lambda: Queue(value=u32, max_entries=0), "a Queue holds one value at least"),
        (lambda: Stack(value=u32, max_entries=0), "a Stack holds one value at least"),
        (lambda: Arena(1 << 21), "1 to 1048576 pages"),
        (lambda: UserRingBuffer(1000), "a power of two, not 1000"),
    ],
)
def test_a_declaration_that_no_kernel_takes_is_refused(declare: Callable[[], object], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        declare()


@pytest.mark.parametrize(
    ("declared", "kind", "flags", "sizes"),
    [
        (LpmTrie(key=Ipv4Prefix, value=u64, max_entries=1), MapType.LPM_TRIE, MapFlag.NO_PREALLOC, (8, 8)),
        (LpmTrie(key=Ipv6Prefix, value=u64, max_entries=1), MapType.LPM_TRIE, MapFlag.NO_PREALLOC, (20, 8)),
        (MappedArray(value=u16, max_entries=1), MapType.ARRAY, MapFlag.MMAPABLE, (4, 2)),
        (Arena(1), MapType.ARENA, MapFlag.MMAPABLE, (0, 0)),
        (TaskStorage(value=u64), MapType.TASK_STORAGE, MapFlag.NO_PREALLOC, (4, 8)),
        (SkStorage(value=u64), MapType.SK_STORAGE, MapFlag.NO_PREALLOC, (4, 8)),
        (InodeStorage(value=u64), MapType.INODE_STORAGE, MapFlag.NO_PREALLOC, (4, 8)),
        (Queue(value=u64, max_entries=1), MapType.QUEUE, MapFlag(0), (0, 8)),
        (ArrayOfMaps(inner=INNER, max_entries=1), MapType.ARRAY_OF_MAPS, MapFlag(0), (4, 4)),
        (HashOfMaps(key=u64, inner=INNER, max_entries=1), MapType.HASH_OF_MAPS, MapFlag(0), (8, 4)),
        (ProgramArray(max_entries=1), MapType.PROG_ARRAY, MapFlag(0), (4, 4)),
    ],
)
def test_a_kind_sets_what_the_kernel_demands_of_it(
    declared: Any, kind: MapType, flags: MapFlag, sizes: tuple[int, int]
) -> None:
    assert (declared.map_type, declared.flags, (declared.key_size, declared.value_size)) == (kind, flags, sizes)


@pytest.mark.parametrize(
    "use",
    [
        lambda: Queue(value=u32, max_entries=1).pop(),
        lambda: BloomFilter(value=u32, max_entries=1).peek(1),
        lambda: MappedArray(value=u32, max_entries=1).lookup(0),
        lambda: Arena(1).memory,
        lambda: TaskStorage(value=u32).lookup(1),
        lambda: ArrayOfMaps(inner=INNER, max_entries=1).lookup(0),
        lambda: ProgramArray(max_entries=1).lookup(0),
        lambda: UserRingBuffer(4096).send(b""),
        lambda: HashMap(key=u32, value=u32, max_entries=1).update_many([(1, 1)]),
        lambda: HashMap(key=u32, value=u32, max_entries=1).freeze(),
    ],
)
def test_a_declaration_has_no_content(use: Callable[[], object]) -> None:
    with pytest.raises(NotLoaded):
        use()


def test_what_only_programs_do() -> None:
    for use in (
        lambda: LruPerCpuHashMap(key=u32, value=u32, max_entries=1).lookup(1),
        lambda: UserRingBuffer(8).drain(0),
    ):
        with pytest.raises(OutsideProgram):
            use()


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_network_is_its_prefix(address: Any, length: int) -> None:
    network = Ipv4Prefix(length=length, address=address.packed).network
    assert Ipv4Prefix.of(str(network)).network == network


def test_an_address_is_a_whole_prefix() -> None:
    assert Ipv6Prefix.of("::1").length == 128
    with pytest.raises(ValueError, match="host bits set"):
        Ipv4Prefix.of("10.1.1.1/8")


def test_types_are_written_once() -> None:
    assert type_info(u32, Ipv4Prefix) is type_info(u32, Ipv4Prefix)
    assert type_info(None, u32) is not None


def test_what_differs_is_said() -> None:
    error = IncompatibleMap("HashMap calls", ("value_size is 8, declared 16", "key_size is 4, declared 8"))
    assert str(error) == (
        "this map is not the HashMap calls that was declared: value_size is 8, declared 16, key_size is 4, declared 8"
    )

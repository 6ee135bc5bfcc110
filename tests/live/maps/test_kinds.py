"""Every further kind of map in the running kernel: what goes in comes out, from both sides where programs matter."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpf.errors import IncompatibleMap, KernelError, NotLoaded, OutsideProgram
from pybpf.kernel.constants import MapFlag, ProgramType
from pybpf.kernel.cpus import possible_cpus
from pybpf.kernel.fd import FdClosed
from pybpf.kernel.prog_ops import prog_load, prog_test_run
from pybpf.maps import (
    Array,
    ArrayOfMaps,
    BloomFilter,
    HashMap,
    HashOfMaps,
    InodeStorage,
    Ipv4Prefix,
    Ipv6Prefix,
    LpmTrie,
    LruHashMap,
    LruPerCpuHashMap,
    MappedArray,
    ProgramArray,
    Queue,
    SkStorage,
    Stack,
    TaskStorage,
)
from pybpf.types import Struct, u16, u32, u64
from tests.support.tiny_programs import PACKET, count_into, return_value


class Note(Struct):
    number: u64
    size: u16


def test_the_longest_prefix_that_matches_wins() -> None:
    with LpmTrie(key=Ipv4Prefix, value=u32, max_entries=8).create("routes") as routes:
        routes[Ipv4Prefix.of("10.0.0.0/8")] = 8
        routes[Ipv4Prefix.of("10.1.0.0/16")] = 16
        assert routes.lookup(Ipv4Prefix.of("10.1.2.3")) == 16
        assert routes.lookup(Ipv4Prefix.of("10.2.2.3")) == 8
        assert routes.lookup(Ipv4Prefix.of("11.2.2.3")) is None
        assert {str(prefix.network) for prefix in routes} == {"10.0.0.0/8", "10.1.0.0/16"}
        assert routes.delete(Ipv4Prefix.of("10.1.0.0/16"))
        assert routes.lookup(Ipv4Prefix.of("10.1.2.3")) == 8


def test_prefixes_of_ipv6() -> None:
    with LpmTrie(key=Ipv6Prefix, value=u64, max_entries=2).create() as routes:
        routes[Ipv6Prefix.of("2001:db8::/32")] = 1
        assert routes.lookup(Ipv6Prefix.of("2001:db8::1")) == 1
        assert routes.lookup(Ipv6Prefix.of("2001:db9::1")) is None


def test_a_queue_gives_the_first_and_a_stack_the_last() -> None:
    for kind, order in ((Queue, [1, 2, 3]), (Stack, [3, 2, 1])):
        with kind(value=Note, max_entries=3).create("notes") as notes:
            assert notes.pop() is None
            assert notes.peek() is None
            for number in (1, 2, 3):
                notes.push(Note(number=number))
            with pytest.raises(KernelError, match="the map is full") as caught:
                notes.push(Note(number=4))
            assert caught.value.errno == errno.E2BIG
            assert notes.peek() == Note(number=order[0])
            assert [note.number for note in notes.drain()] == order
            assert notes.pop() is None


def test_a_full_queue_may_drop_its_oldest() -> None:
    with Queue(value=u32, max_entries=2).create() as numbers:
        for number in range(5):
            numbers.push(number, replace=True)
        assert list(numbers.drain()) == [3, 4]
        numbers.push(7)
        numbers.clear()
        assert numbers.pop() is None


def test_a_bloom_filter_never_misses_what_is_in_it() -> None:
    with BloomFilter(value=u64, max_entries=1000, hashes=5).create("seen") as seen:
        assert 1 not in seen
        for number in range(1000):
            seen.push(number)
        assert all(number in seen for number in range(1000))
        wrong = sum(number in seen for number in range(10_000, 20_000))
        assert wrong < 500  # 1 % by design
        assert seen.info().extra == 5


def test_maps_are_values_of_a_hash_of_maps() -> None:
    inner = HashMap(key=u32, value=u64, max_entries=4)
    with HashOfMaps(key=u64, inner=inner, max_entries=2).create("tables") as tables:
        assert tables.lookup(1) is None
        assert 1 not in tables
        with inner.create("first") as first:
            tables[1] = first
            first[5] = 55
        assert list(tables.keys()) == [1]
        again = tables.lookup(1)
        assert again is not None
        with again:
            assert again[5] == 55
            assert type(again) is HashMap
        assert tables.delete(1)
        assert not tables.delete(1)


def test_an_array_of_maps_takes_only_maps_like_its_pattern() -> None:
    outer = ArrayOfMaps(inner=Array(value=u64, max_entries=4), max_entries=2)
    with outer.create() as maps, Array(value=u32, max_entries=4).create() as other:
        with pytest.raises(KernelError) as caught:
            maps.update(0, other)
        assert caught.value.errno == errno.EINVAL
        assert list(maps.keys()) == []


def test_arrays_of_any_length_where_the_pattern_allows_it() -> None:
    inner = Array(value=u64, max_entries=1, flags=MapFlag.INNER_MAP)
    with ArrayOfMaps(inner=inner, max_entries=1).create() as maps, inner.create(max_entries=9) as nine:
        maps[0] = nine
        found = maps.lookup(0)
        assert found is not None
        with found:
            assert len(found) == 9


def test_a_per_cpu_hash_that_forgets() -> None:
    with LruPerCpuHashMap(key=u32, value=u64, max_entries=64).create() as counts:
        for key in range(1000):
            counts.update(key, [key] * len(possible_cpus()))
        kept = dict(counts.items())
        assert 0 < len(kept) <= 64
        assert all(value == [key] * len(possible_cpus()) for key, value in kept.items())
        assert 999 in kept


def test_storage_of_a_process_goes_with_it() -> None:
    with TaskStorage(value=Note).create("notes") as notes:
        assert notes.lookup(os.getpid()) is None
        notes[os.getpid()] = Note(number=1, size=2)
        assert notes[os.getpid()] == Note(number=1, size=2)
        assert notes.delete(os.getpid())
        assert not notes.delete(os.getpid())
        with subprocess.Popen(["/bin/sleep", "60"]) as child:
            notes[child.pid] = Note(number=3)
            assert notes[child.pid].number == 3
            child.kill()
        with pytest.raises(KernelError, match="the process has ended"):
            notes.lookup(child.pid)


def test_storage_of_a_socket() -> None:
    with SkStorage(value=u64).create() as marks, socket.socket() as one, socket.socket() as two:
        marks[one] = 7
        assert marks.lookup(one) == marks.lookup(one.fileno()) == 7
        assert marks.lookup(two) is None
        with pytest.raises(KeyError):
            marks[two]


def test_storage_of_an_inode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    try:
        live = InodeStorage(value=u64).create()
    except KernelError as error:
        pytest.skip(f"no inode storage here (CONFIG_BPF_LSM): {error}")
    with live as marks:
        try:
            marks[path] = 3
        except KernelError as error:
            assert error.errno in (errno.EBADF, errno.EOPNOTSUPP)
            pytest.skip(f"inodes of this kernel carry no storage (lsm=bpf): {error}")
        with path.open() as file:
            assert marks.lookup(file) == 3


def test_both_sides_share_the_memory_of_a_mapped_array() -> None:
    with MappedArray(value=u64, max_entries=600).create("counts") as counts:
        with prog_load(ProgramType.SOCKET_FILTER, count_into(counts.fileno(), 1)) as program:
            prog_test_run(program, PACKET, repeat=100)
        assert counts[1] == 100
        counts[1] = 5
        counts[599] = 9
        assert dict(counts.items())[1] == 5
        assert counts.memory[599 * 8] == 9
        assert counts.lookup(600) is None
        with pytest.raises(IndexError):
            counts[600] = 1
    with pytest.raises(FdClosed):
        counts.lookup(0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**16 - 1)), min_size=1, max_size=20))
def test_records_of_a_mapped_array(content: list[tuple[int, int]]) -> None:
    with MappedArray(value=Note, max_entries=len(content)).create() as notes:
        for index, (number, size) in enumerate(content):
            notes[index] = Note(number=number, size=size)
        assert [(note.number, note.size) for note in notes.values()] == content


def test_a_frozen_map_is_read_only() -> None:
    with Array(value=u64, max_entries=1).create("settled") as settled:
        settled[0] = 7
        settled.freeze()
        with pytest.raises(KernelError) as caught:
            settled[0] = 8
        assert caught.value.errno == errno.EPERM
        assert settled[0] == 7


def test_a_mapped_array_that_is_only_read_can_be_frozen() -> None:
    with MappedArray(value=u64, max_entries=2, writable=False, flags=MapFlag.RDONLY_PROG).create() as constants:
        constants[1] = 42
        constants.freeze()
        assert constants[1] == 42


def test_a_tail_call_jumps_to_the_program_in_the_array() -> None:
    from pybpf.asm import R0, R2, R3, assemble, call, encode, exit_, load_map_fd, mov

    with ProgramArray(max_entries=2).create("jumps") as jumps:
        code = encode(assemble([load_map_fd(R2, jumps.fileno()), mov(R3, 1), call(12), mov(R0, 1), exit_()]))
        with prog_load(ProgramType.SOCKET_FILTER, code) as caller:
            assert prog_test_run(caller, PACKET).return_value == 1
            with prog_load(ProgramType.SOCKET_FILTER, return_value(42)) as target:
                jumps[1] = target
            assert prog_test_run(caller, PACKET).return_value == 42
            assert jumps.lookup(1) is not None
            assert 0 not in jumps
            del jumps[1]
            assert prog_test_run(caller, PACKET).return_value == 1
            with pytest.raises(KeyError):
                del jumps[1]


def test_many_elements_at_once() -> None:
    with HashMap(key=u32, value=Note, max_entries=1000).create() as notes:
        notes.update_many((number, Note(number=number)) for number in range(1000))
        assert len(dict(notes.items())) == 1000
        with pytest.raises(KernelError, match="the map is full"):
            notes.update_many([(2000, Note())])
        assert notes.delete_many([5, 5000, 6, 7, 5]) == 3
        assert notes.delete_many(range(1000)) == 997
        assert notes.delete_many([]) == 0
        assert dict(notes.items()) == {}


@pytest.mark.parametrize("kind", [HashMap, LruHashMap])
def test_an_element_is_taken_out_once(kind: type[HashMap[int, Note]]) -> None:
    with kind(key=u32, value=Note, max_entries=4).create() as notes:
        notes[1] = Note(number=5)
        assert notes.take(1) == Note(number=5)
        assert notes.take(1) is None
        assert dict(notes.items()) == {}


def test_what_a_kind_has_no_batches_for_is_done_one_by_one() -> None:
    with Queue(value=u32, max_entries=1).create(), LpmTrie(key=Ipv4Prefix, value=u32, max_entries=9).create() as tree:
        tree.update_many((Ipv4Prefix.of(f"10.{number}.0.0/16"), number) for number in range(9))
        assert sorted(tree.values()) == list(range(9))
        assert tree.delete_many([Ipv4Prefix.of("10.1.0.0/16"), Ipv4Prefix.of("11.0.0.0/8")]) == 1


def test_a_map_that_is_not_as_declared_is_refused() -> None:
    with HashMap(key=u32, value=u64, max_entries=1).create() as live:
        with pytest.raises(IncompatibleMap, match="value_size is 8, declared 16") as caught:
            HashMap(key=u32, value=Note, max_entries=1, name="notes").adopt(live.fd)
        assert caught.value.differences == ("value_size is 8, declared 16",)
        with pytest.raises(IncompatibleMap, match="map_type"):
            LruPerCpuHashMap(key=u32, value=u64, max_entries=1).adopt(live.fd)


def test_declarations_do_nothing() -> None:
    with pytest.raises(NotLoaded):
        Queue(value=u32, max_entries=1).push(1)
    with pytest.raises(NotLoaded):
        MappedArray(value=u32, max_entries=1).lookup(0)
    with pytest.raises(OutsideProgram):
        LruPerCpuHashMap(key=u32, value=u64, max_entries=1).lookup(1)

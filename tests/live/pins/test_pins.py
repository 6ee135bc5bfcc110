"""Pins in a BPF file system of the test's own."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpf.errors import IncompatibleMap, KernelError
from pybpf.hooks import socket_filter
from pybpf.kernel.constants import MapFlag, ProgramType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.link_ops import raw_tracepoint_open
from pybpf.kernel.prog_ops import prog_load, prog_test_run
from pybpf.lang import SkBuff
from pybpf.links import Link, LinkKind
from pybpf.maps import Array, HashMap, RingBuffer
from pybpf.object import BpfObject
from pybpf.pins import NotPinnable, WrongPin, open_link, open_map, open_program, pin, pins, unpin
from pybpf.types import u32, u64
from tests.support.tiny_programs import PACKET, count_into, return_value

COUNTS = Array(value=u64, max_entries=2, name="counts")


class Counting(BpfObject):
    counts = Array(value=u64, max_entries=2)

    @socket_filter
    def count(self, ctx: SkBuff) -> int:
        self.counts[0] += 1
        return 0


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", os.fsencode(tmp_path), b"bpf", 0, None) != 0:
        pytest.skip(f"needs to mount a BPF file system: {os.strerror(ctypes.get_errno())}")
    yield tmp_path
    libc.umount2(os.fsencode(tmp_path), 2)


def test_a_pinned_map_outlives_its_owner(bpffs: Path) -> None:
    with COUNTS.create() as counts:
        counts[1] = 7
        pin(counts, bpffs / "counts")
    with open_map(COUNTS, bpffs / "counts") as again:
        assert type(again) is Array
        assert again[1] == 7
    with (
        open_map(COUNTS, bpffs / "counts", flags=MapFlag.RDONLY) as reader,
        pytest.raises(KernelError, match="one-way"),
    ):
        reader[0] = 1
    unpin(bpffs / "counts")
    with pytest.raises(KernelError, match="nothing is pinned there") as caught:
        open_map(COUNTS, bpffs / "counts")
    assert caught.value.errno == errno.ENOENT


def test_records_wait_in_a_pinned_ring(bpffs: Path) -> None:
    ring = RingBuffer(4096)
    with ring.create() as live:
        pin(live, bpffs / "deep/er/ring", parents=True)
    with open_map(ring, bpffs / "deep/er/ring") as again:
        assert again.pending() == 0
        assert again.size == 4096


def test_a_pinned_program_outlives_its_owner(bpffs: Path) -> None:
    with prog_load(ProgramType.SOCKET_FILTER, return_value(7), name="seven") as program:
        pin(program, bpffs / "seven")
    with open_program(bpffs / "seven") as again:
        assert prog_test_run(again, PACKET).return_value == 7


def test_an_object_goes_on_counting_in_the_map_it_finds(bpffs: Path) -> None:
    for expected in (1, 2, 3):
        place = bpffs / "counts"
        counts = open_map(Counting.counts, place) if place.exists() else Counting.counts.create()
        with counts, Counting().load(maps={"counts": counts}) as counting:
            if not place.exists():
                pin(counting.counts, place)
            counting.count.test_run(PACKET)
            assert counting.counts is counts
            counting.close()
            assert counts[0] == expected, "the map stays its owner's"
    with pytest.raises(TypeError, match="Counting has no map other"):
        Counting().load(maps={"other": COUNTS})


def attached_to_system_calls(program: OwnedFd) -> Link:
    return Link(LinkKind.RAW_TRACEPOINT, "sys_enter", [raw_tracepoint_open(program, "sys_enter")])


def test_a_pinned_link_goes_on_probing(bpffs: Path) -> None:
    with COUNTS.create() as counts:
        code = count_into(counts.fileno())
        with prog_load(ProgramType.RAW_TRACEPOINT, code) as program, attached_to_system_calls(program) as link:
            pin(link, bpffs / "link")
        before = counts[0]
        time.sleep(0.01)
        assert counts[0] > before, "closed everywhere, and yet attached"
        (found,) = pins(bpffs)
        assert (found.path, found.kind) == (bpffs / "link", "link")
        opened = open_link(bpffs / "link")
        assert opened.info().id == found.id
        opened.detach()
        assert not (bpffs / "link").exists()
        # The last reference goes with a delayed RCU callback.
        deadline = time.monotonic() + 5
        while counts[0] != before and time.monotonic() < deadline:
            before = counts[0]
            time.sleep(0.05)
        assert counts[0] == before


def test_pins_are_listed_by_what_they_are(bpffs: Path) -> None:
    with COUNTS.create() as counts, prog_load(ProgramType.SOCKET_FILTER, return_value(), name="zero") as program:
        pin(counts, bpffs / "a/counts", parents=True)
        pin(program, bpffs / "b/zero", parents=True)
        found = {entry.path.name: entry for entry in pins(bpffs)}
        assert {name: (entry.kind, entry.name) for name, entry in found.items()} == {
            "counts": ("map", "counts"),
            "zero": ("program", "zero"),
        }
        assert found["counts"].id == counts.info().id


def test_what_is_pinned_elsewhere_or_as_something_else_is_refused(bpffs: Path) -> None:
    with COUNTS.create() as counts:
        pin(counts, bpffs / "counts")
        with pytest.raises(KernelError, match="open what is pinned there, or unpin it first"):
            pin(counts, bpffs / "counts")
        with pytest.raises(KernelError, match=r"mkdir -p .*/none"):
            pin(counts, bpffs / "none/counts")
        with pytest.raises(WrongPin, match="is a pinned map, not a program"):
            open_program(bpffs / "counts")
        with pytest.raises(IncompatibleMap, match="map_type is 2, declared"):
            open_map(HashMap(key=u32, value=u64, max_entries=1), bpffs / "counts")


def test_outside_of_a_bpf_file_system_the_error_says_where(
    bpffs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("plain")
    with COUNTS.create() as counts, pytest.raises(KernelError, match="is in no BPF file system; pins live below"):
        pin(counts, elsewhere / "counts")
    (elsewhere / "file").write_text("")
    with pytest.raises(KernelError, match="outside of a BPF file system, no pin"):
        open_program(elsewhere / "file")
    with pytest.raises(KernelError, match="this is a directory"):
        open_program(bpffs / ".")


def test_an_attachment_without_a_link_cannot_be_pinned(bpffs: Path) -> None:
    with Link(LinkKind.SOCKET, "count on a socket", ()) as link, pytest.raises(NotPinnable, match="no kernel link"):
        pin(link, bpffs / "link")

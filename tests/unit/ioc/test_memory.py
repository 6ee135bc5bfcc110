from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ioc.errors import ProcessGone, UnreadableMemory
from epicsmon.ioc.memory import MemoryView, ProcessMemory
from tests.support.iocimage import BytesMemory

BASE = 0x7000_0000_0000


def pattern(size: int) -> bytes:
    return bytes((7 * i + (i >> 8)) % 255 + 1 for i in range(size))


@given(
    skew=st.integers(0, 70_000), length=st.integers(1, 200_000), at=st.integers(0, 200_000), size=st.integers(1, 70_000)
)
def test_a_view_reads_what_is_mapped_and_nothing_else(skew: int, length: int, at: int, size: int) -> None:
    data = pattern(length)
    view = MemoryView(BytesMemory({BASE + skew: data}), cached_blocks=2)
    if at + size <= length:
        assert view.read(BASE + skew + at, size) == data[at : at + size]
    else:
        with pytest.raises(UnreadableMemory) as caught:
            view.read(BASE + skew + at, size)
        assert (caught.value.address, caught.value.size) == (BASE + skew + at, size)


@given(pages=st.integers(0, 17), at=st.integers(0, 140_000), length=st.integers(0, 300), limit=st.integers(0, 300))
def test_c_strings_end_at_their_nul_wherever_blocks_end(pages: int, at: int, length: int, limit: int) -> None:
    data = pattern(at + length) + b"\0"
    start = BASE + 4096 * pages
    view = MemoryView(BytesMemory({start: data + b"x" * (-len(data) % 4096)}))
    if length <= limit:
        assert view.c_string(start + at, limit) == data[at : at + length]
    else:
        with pytest.raises(UnreadableMemory):
            view.c_string(start + at, limit)


def test_a_string_without_an_end_is_refused_at_the_end_of_memory() -> None:
    view = MemoryView(BytesMemory({BASE: b"x" * 5000}))
    with pytest.raises(UnreadableMemory):
        view.c_string(BASE + 4990, 4095)


def test_neighbours_cost_one_read_and_the_cache_is_bounded() -> None:
    memory = BytesMemory({BASE: pattern(1 << 20)})
    view = MemoryView(memory, cached_blocks=4)
    for offset in range(0, 65_536 - 64, 64):
        view.read(BASE + offset, 64)
    assert memory.calls == 1
    for _ in range(2):
        for block in range(16):
            view.pointer(BASE + (block << 16))
    assert memory.calls == 1 + 15 + 16
    assert len(view._blocks) == 4


@pytest.mark.parametrize("address", [0, 1, (1 << 64) - 4, 1 << 63, 0xDEAD_BEEF_DEAD_BEEF])
def test_wild_pointers_are_unreadable(address: int) -> None:
    with ProcessMemory(os.getpid()) as memory:
        view = MemoryView(memory)
        with pytest.raises(UnreadableMemory):
            view.pointer(address)
        with pytest.raises(UnreadableMemory):
            view.c_string(address, 60)
        assert memory.read_many([(address, 8)]) == [None]


def test_a_process_reads_its_own_memory() -> None:
    text = ctypes.create_string_buffer(b"seen from outside")
    with ProcessMemory(os.getpid()) as memory:
        assert MemoryView(memory).c_string(ctypes.addressof(text), 60) == b"seen from outside"


def test_a_process_that_has_ended_is_gone_even_while_it_is_a_zombie() -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with ProcessMemory(child.pid) as memory:
            address = int(Path(f"/proc/{child.pid}/maps").read_text().partition("-")[0], 16)
            [head] = memory.read_many([(address, 4)])
            assert head == b"\x7fELF"
            child.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            with pytest.raises(ProcessGone):
                memory.read_many([(address, 4)])
            child.wait()
            with pytest.raises(ProcessGone) as caught:
                memory.read_many([(address, 4)])
            assert caught.value.pid == child.pid
        with pytest.raises(ProcessGone):
            ProcessMemory(child.pid)

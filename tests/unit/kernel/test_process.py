"""Reading memory, from this very process: that needs no privilege and the answers are known."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpf.errors import KernelError
from pybpf.kernel.process import MAX_SPANS_PER_CALL, process_vm_readv

PAGE = mmap.PAGESIZE
CONTENT = bytes(i * 7 & 0xFF for i in range(4 * PAGE))
TARGET = ctypes.create_string_buffer(CONTENT, len(CONTENT))
START = ctypes.addressof(TARGET)
SELF = os.getpid()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("here"), st.integers(0, 3 * PAGE), st.integers(0, PAGE)),
            st.tuples(st.just("nowhere"), st.integers(0, 4095), st.integers(1, 64)),
            st.tuples(st.just("beyond"), st.integers(0, 100), st.integers(1, 64)),
        ),
        max_size=40,
    )
)
def test_each_span_is_read_whole_or_answers_none(wanted: list[tuple[str, int, int]]) -> None:
    base = {"here": START, "nowhere": 0, "beyond": (1 << 64) - 100}
    answers = process_vm_readv(SELF, [(base[where] + offset, size) for where, offset, size in wanted])
    expected = [CONTENT[offset : offset + size] if where == "here" else None for where, offset, size in wanted]
    assert answers == expected


def test_a_span_that_runs_into_an_unmapped_page_answers_none_and_the_next_is_read() -> None:
    with mmap.mmap(-1, 2 * PAGE) as memory:
        memory[:] = b"x" * (2 * PAGE)
        holder = ctypes.c_char.from_buffer(memory)
        start = ctypes.addressof(holder)
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + PAGE), PAGE, 0)
        spans = [(start, 8), (start + PAGE - 4, 8), (start + PAGE - 4, 4), (start + PAGE, 1), (START, 2)]
        answers = process_vm_readv(SELF, spans)
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + PAGE), PAGE, mmap.PROT_READ | mmap.PROT_WRITE)
        del holder
    assert answers == [b"x" * 8, None, b"xxxx", None, CONTENT[:2]]


def test_more_spans_than_one_call_takes_are_read_all_the_same() -> None:
    count = 2 * MAX_SPANS_PER_CALL + 3
    answers = process_vm_readv(SELF, [(START + i, 1) for i in range(count)])
    assert answers == [CONTENT[i : i + 1] for i in range(count)]


def test_no_spans_are_no_call() -> None:
    assert process_vm_readv(SELF, []) == []


def test_a_negative_size_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="negative"):
        process_vm_readv(SELF, [(START, -1)])


def test_a_process_that_has_ended_is_named() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(KernelError, match=f"process {child.pid}") as caught:
        process_vm_readv(child.pid, [(START, 1)])
    assert caught.value.errno == errno.ESRCH

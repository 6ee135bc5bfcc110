"""The programs of process_trace.py on machine code that does what an IOC hardly ever does."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from epicsmon.programs.process_trace import MAX_DEPTH, ProcessTrace

from epicsmon.events import SpanKind
from epicsmon.trace.calls import RawCall, decode_call
from pybpf.elf import ElfImage, plan_probe
from pybpf.links import Link, ProbeSide, UprobeMethod, attach_multi, uprobe_methods
from tests.support.elfwriter import Definition, write_elf
from tests.support.probing import needs_x86

pytestmark = [needs_x86, pytest.mark.needs("uprobes")]

CODE = {
    # push %rbp; mov %rsp,%rbp; lea 0x2(%rdi),%rax; pop %rbp; ret
    "plain": "55 4889e5 488d4702 5d c3",
    # outer(f): push %rbp; call *%rdi; pop %rbp; ret
    "outer": "55 ffd7 5d c3",
    # escape(): push %rbp; mov 0x10(%rsp),%rbp; add $0x18,%rsp; ret -- returns to where its caller, outer, was called
    "escape": "55 488b6c2410 4883c418 c3",
    # deep(n): push %rbx; test %edi,%edi; je 1f; dec %edi; call deep; 1: pop %rbx; ret
    "deep": "53 85ff 7407 ffcf e8f4ffffff 5b c3",
}
WINDOW, CERTAIN = 64, 16


class Library:
    """The code above, mapped into this process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        code = [Definition(name, bytes.fromhex(text)) for name, text in CODE.items()]
        path.write_bytes(write_elf(code, hashes=("gnu",)))
        self._library = ctypes.CDLL(str(path))

    def call(self, name: str, argument: int | str) -> None:
        """Call a function with a number, or with the address of another."""
        if isinstance(argument, str):
            argument = ctypes.cast(self._library[argument], ctypes.c_void_p).value or 0
        self._library[name](ctypes.c_uint64(argument), None, None, None)


class Calls:
    """A loaded ProcessTrace, attached to the library by one way."""

    def __init__(self, library: Library, method: UprobeMethod) -> None:
        self.library = library
        self.method = method
        self.program = ProcessTrace(window_offset=0, window_size=WINDOW, certain_size=CERTAIN).load()
        self._links: list[Link] = []

    def attach(self, program: str, symbol: str) -> Link:
        hook = getattr(self.program, program)
        link: Link = hook.attach(self.library.path, symbol, pid=os.getpid(), force=self.method)
        self._links.append(link)
        return link

    def close(self) -> None:
        for link in self._links:
            link.detach()
        self.program.close()

    def taken(self) -> list[RawCall]:
        found: list[RawCall] = []
        self.program.calls.consume(lambda record: found.append(decode_call(record)))
        return found

    def counts(self) -> tuple[int, int, int, int]:
        """Over all threads: calls seen, abandoned, too deep, still open."""
        threads = list(self.program.threads.values())
        return (
            sum(thread.seen for thread in threads),
            sum(thread.abandoned for thread in threads),
            sum(thread.too_deep for thread in threads),
            sum(thread.depth for thread in threads),
        )


@pytest.fixture(params=list(UprobeMethod), ids=lambda method: method.value)
def method(request: pytest.FixtureRequest) -> UprobeMethod:
    if request.param not in uprobe_methods(ProbeSide.BOTH):
        pytest.skip(f"needs a kernel with {request.param.value}")
    return UprobeMethod(request.param)


@pytest.fixture
def calls(tmp_path: Path, method: UprobeMethod) -> Iterator[Calls]:
    with closing(Calls(Library(tmp_path / "libcalls.so"), method)) as loaded:
        yield loaded


def test_a_call_inside_a_call_is_its_child(calls: Calls) -> None:
    calls.attach("put_field", "outer")
    calls.attach("process", "plain")
    calls.library.call("outer", "plain")
    calls.library.call("plain", 1)
    inner, outer, alone = calls.taken()
    assert (inner.kind, outer.kind, alone.kind) == (SpanKind.PROCESS, SpanKind.PUT_FIELD, SpanKind.PROCESS)
    assert (inner.parent, inner.root, inner.depth) == (outer.start, outer.start, 1)
    assert (outer.parent, outer.root, outer.depth) == (0, outer.start, 0)
    assert (alone.parent, alone.root, alone.depth, alone.subject) == (0, alone.start, 0, 1)
    assert outer.start < inner.start < inner.end < outer.end < alone.start < alone.end
    assert (outer.pid, outer.tid) == (os.getpid(), threading.get_native_id())
    assert outer.comm == Path("/proc/thread-self/comm").read_bytes().strip()
    assert calls.counts() == (3, 0, 0, 0)


def test_a_call_that_is_left_without_a_return_does_not_take_its_callers_return(calls: Calls) -> None:
    calls.attach("put_field", "outer")
    calls.attach("process", "escape")
    for _ in range(3):
        calls.library.call("outer", "escape")
        [outer] = calls.taken()
        assert (outer.kind, outer.depth) == (SpanKind.PUT_FIELD, 0)
    assert calls.counts() == (6, 3, 0, 0)


def test_a_call_that_was_left_open_is_no_parent_of_what_comes_later(calls: Calls) -> None:
    calls.attach("process", "escape")
    calls.attach("put_field", "plain")
    calls.library.call("outer", "escape")
    assert calls.counts() == (1, 0, 0, 1)
    calls.library.call("plain", 1)
    [later] = calls.taken()
    assert (later.kind, later.depth, later.parent) == (SpanKind.PUT_FIELD, 0, 0)
    assert calls.counts() == (2, 1, 0, 0)


def test_recursion_is_followed_as_deep_as_the_kernel_does_and_the_rest_is_counted(calls: Calls) -> None:
    calls.attach("process", "deep")
    calls.library.call("deep", 99)
    taken = calls.taken()
    assert [call.depth for call in taken] == list(range(MAX_DEPTH - 1, -1, -1))
    assert [call.subject for call in taken] == list(range(99 - MAX_DEPTH + 1, 100))
    assert calls.counts() == (100, 0, 100 - MAX_DEPTH, 0)
    calls.library.call("deep", 3)
    taken = calls.taken()
    assert [(call.depth, call.subject) for call in taken] == [(3, 0), (2, 1), (1, 2), (0, 3)]
    assert [call.parent for call in taken] == [call.start for call in taken[1:]] + [0]
    assert calls.counts() == (104, 0, 100 - MAX_DEPTH, 0)


def test_threads_have_stacks_of_their_own(calls: Calls) -> None:
    calls.attach("process", "deep")

    def work() -> None:
        for _ in range(200):
            calls.library.call("deep", 9)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = calls.taken()
    assert len(taken) == 4 * 200 * 10
    roots = {call.start: call for call in taken if call.depth == 0}
    assert len({call.tid for call in taken}) == 4
    for call in taken:
        assert roots[call.root].tid == call.tid
        assert call.subject == 9 - call.depth
    assert calls.counts() == (8000, 0, 0, 0)


def test_a_return_whose_entry_was_not_seen_is_ignored(tmp_path: Path) -> None:
    if UprobeMethod.MULTI not in uprobe_methods(ProbeSide.BOTH):
        pytest.skip("needs a kernel with uprobe_multi links")
    library = Library(tmp_path / "libcalls.so")
    calls = Calls(library, UprobeMethod.MULTI)
    with closing(calls), ElfImage.open(library.path) as image:
        # Attached once elsewhere, so that its programs are loaded for the way that can do one side alone.
        calls.attach("put_notify", "deep").detach()
        returns = calls.program.put_notify.descriptor("multi return")
        offset = plan_probe(image, "plain").offset
        calls.attach("process", "outer")
        with attach_multi(returns, library.path, [offset], returns=True, pid=os.getpid()):
            library.call("plain", 1)
            library.call("outer", "plain")
            [outer] = calls.taken()
        assert (outer.kind, outer.depth) == (SpanKind.PROCESS, 0)
        assert calls.counts() == (1, 0, 0, 0)


def test_of_a_record_at_the_end_of_memory_what_is_there_is_sent(calls: Calls) -> None:
    calls.attach("process", "plain")
    with mmap.mmap(-1, 2 * mmap.PAGESIZE) as memory:
        memory[: mmap.PAGESIZE] = bytes(range(256)) * (mmap.PAGESIZE // 256)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        end = begin + mmap.PAGESIZE
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, 0)
        for subject in (end - WINDOW, end - CERTAIN, end - CERTAIN + 1, 0xDEAD_0000_0000):
            calls.library.call("plain", subject)
        whole, cut, broken, wild = calls.taken()
        ctypes.CDLL(None).mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, 3)
    assert (whole.readable, whole.whole, whole.window) == (True, True, bytes(range(256 - WINDOW, 256)))
    assert (cut.readable, cut.whole, cut.window[:CERTAIN]) == (True, False, bytes(range(256 - CERTAIN, 256)))
    assert not broken.readable
    assert not wild.readable
    assert calls.counts() == (4, 0, 0, 0)

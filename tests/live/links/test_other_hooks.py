"""Socket filters, tracepoints and kprobes on this kernel."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpf.asm import R0, R1, R2, AtomicOp, Size, assemble, atomic, bind, encode, exit_, load_map_value, mov
from pybpf.errors import KernelError, UnsupportedFeature
from pybpf.kernel.constants import MapType, ProgramType
from pybpf.kernel.map_ops import map_create, map_lookup
from pybpf.kernel.prog_ops import prog_load
from pybpf.links import LinkKind, attach_kprobe, attach_raw_tracepoint, attach_socket_filter, attach_tracepoint


class Counter:
    """A program of any type that counts its runs and returns one number."""

    def __init__(self, kind: ProgramType, result: int = 0) -> None:
        self._map = map_create(MapType.ARRAY, 4, 8, 1, name="runs")
        body = [load_map_value(R2, "runs"), mov(R1, 1), atomic(AtomicOp.ADD, Size.DW, R2, 0, R1)]
        program = bind(assemble([*body, mov(R0, result), exit_()]), lambda _: self._map.fileno())
        self.prog = prog_load(kind, encode(program), name="counter")

    @property
    def runs(self) -> int:
        return int.from_bytes(map_lookup(self._map, bytes(4), 8) or b"", "little")

    def close(self) -> None:
        self.prog.close()
        self._map.close()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.settimeout(0.2)
        yield receiver, sender


def received(receiver: socket.socket) -> bytes | None:
    try:
        return receiver.recv(64)
    except socket.timeout:
        return None


def test_a_socket_filter_drops_cuts_and_passes(sockets: tuple[socket.socket, socket.socket]) -> None:
    receiver, sender = sockets
    for keep, expected in ((0, None), (3, b"abc"), (1000, b"abcdef")):
        counter = Counter(ProgramType.SOCKET_FILTER, keep)
        with attach_socket_filter(counter.prog, receiver) as link:
            assert link.kind is LinkKind.SOCKET
            sender.send(b"abcdef")
            assert received(receiver) == expected
            assert counter.runs == 1
        sender.send(b"whole")
        assert received(receiver) == b"whole"
        assert counter.runs == 1
        counter.close()


def test_a_socket_that_was_closed_needs_no_detaching() -> None:
    counter = Counter(ProgramType.SOCKET_FILTER)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        link = attach_socket_filter(counter.prog, target)
    link.detach()
    assert not link.attached
    counter.close()


def test_a_program_of_another_type_is_refused_with_a_reason(sockets: tuple[socket.socket, socket.socket]) -> None:
    counter = Counter(ProgramType.KPROBE)
    with pytest.raises(KernelError, match="attach program counter on Unix socket"):
        attach_socket_filter(counter.prog, sockets[0])
    counter.close()


@pytest.mark.needs("tracefs")
def test_a_tracepoint_runs_the_program() -> None:
    counter = Counter(ProgramType.TRACEPOINT)
    with attach_tracepoint(counter.prog, "sched", "sched_process_exit") as link:
        assert link.describe().startswith("program counter at tracepoint sched:sched_process_exit by perf")
        os.waitpid(os.spawnlp(os.P_NOWAIT, "true", "true"), 0)
    seen = counter.runs
    assert seen >= 1
    os.waitpid(os.spawnlp(os.P_NOWAIT, "true", "true"), 0)
    assert counter.runs == seen
    with pytest.raises(UnsupportedFeature, match="sched:no_such_point") as caught:
        attach_tracepoint(counter.prog, "sched", "no_such_point")
    assert any("sched/no_such_point/id does not exist" in tried for tried in caught.value.tried)
    counter.close()


def test_a_raw_tracepoint_runs_the_program() -> None:
    counter = Counter(ProgramType.RAW_TRACEPOINT)
    with attach_raw_tracepoint(counter.prog, "sched_process_exit"):
        os.waitpid(os.spawnlp(os.P_NOWAIT, "true", "true"), 0)
    assert counter.runs >= 1
    with pytest.raises(KernelError, match="no_such_point"):
        attach_raw_tracepoint(counter.prog, "no_such_point")
    counter.close()


@pytest.mark.needs("kprobes")
@pytest.mark.parametrize("returns", [False, True])
def test_a_kprobe_runs_the_program(returns: bool) -> None:
    counter = Counter(ProgramType.KPROBE)
    with attach_kprobe(counter.prog, "do_exit" if not returns else "__x64_sys_getpid", returns=returns):
        os.waitpid(os.spawnlp(os.P_NOWAIT, "true", "true"), 0)
        os.getpid()
    assert counter.runs >= 1
    counter.close()


def test_a_kernel_without_kprobes_says_so() -> None:
    if Path("/sys/bus/event_source/devices/kprobe").exists():
        pytest.skip("needs a kernel without kprobes")
    counter = Counter(ProgramType.KPROBE)
    with pytest.raises(UnsupportedFeature, match="kprobe"):
        attach_kprobe(counter.prog, "do_exit")
    counter.close()

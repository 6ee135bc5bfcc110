"""Programs at each kind of hook, from their declaration to what they saw."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading

import pytest

from pybpf.elf import loaded_library
from pybpf.errors import NotLoaded, SymbolNotFound, UnsafeProbeSite, UnsupportedFeature
from pybpf.hooks import kprobe, tracepoint, uprobe, uprobe_session, uretprobe
from pybpf.kernel.features import PERF_KPROBE, have
from pybpf.lang import (
    RawContext,
    Registers,
    Struct,
    get_attach_cookie,
    get_current_pid_tgid,
    s32,
    session_is_return,
    u32,
    u64,
)
from pybpf.links import UprobeMethod
from pybpf.maps import Array, HashMap, PerfEventArray
from pybpf.object import BpfObject

LIBC = loaded_library("libc.so")


class Seen(Struct):
    pid: u32
    cookie: u32


class Everything(BpfObject):
    counts = Array(value=u64, max_entries=8)
    by_pid = HashMap(key=u32, value=u64, max_entries=10_240)
    seen = PerfEventArray()

    @tracepoint
    def system_call(self, ctx: RawContext) -> int:
        self.by_pid[u32(get_current_pid_tgid() >> 32)] += 1
        return 0

    @uprobe
    def entered(self, ctx: Registers) -> int:
        self.counts[0] += 1
        self.seen.output(ctx, Seen(pid=u32(get_current_pid_tgid() >> 32), cookie=u32(get_attach_cookie(ctx))))
        return 0

    @uretprobe
    def left(self, ctx: Registers) -> int:
        self.counts[1] += 1
        self.counts[2] = u64(s32(ctx.return_value))
        return 0

    @uprobe_session
    def both(self, ctx: Registers) -> int:
        if session_is_return():
            self.counts[4] += 1
        else:
            self.counts[3] += 1
            self.counts[5] = ctx.argument(0)
        return 0

    @kprobe
    def in_kernel(self, ctx: Registers) -> int:
        self.counts[6] += 1
        return 0


def call_abs(times: int) -> None:
    function = ctypes.CDLL(LIBC).labs
    for _ in range(times):
        function(-7)


def test_a_tracepoint_counts_by_process() -> None:
    with Everything().load() as loaded, loaded.system_call.attach("syscalls:sys_enter_getppid"):
        for _ in range(100):
            os.getppid()
        assert loaded.by_pid[os.getpid()] >= 100
    with Everything().load() as loaded, pytest.raises(ValueError, match="group:name"):
        loaded.system_call.attach("sched_switch")


def test_entry_return_and_cookies() -> None:
    with (
        Everything().load() as loaded,
        loaded.entered.attach(LIBC, "labs", pid=os.getpid(), cookies=[77]),
        loaded.left.attach(LIBC, "labs", pid=os.getpid()),
    ):
        call_abs(25)
        assert (loaded.counts[0], loaded.counts[1], loaded.counts[2]) == (25, 25, 7)
        seen = list(loaded.seen.read(Seen, timeout=0.2))
        assert seen == [Seen(pid=os.getpid(), cookie=77)] * 25


@pytest.mark.parametrize("method", list(UprobeMethod))
def test_a_session_program_works_by_every_method(method: UprobeMethod) -> None:
    with Everything().load() as loaded, loaded.both.attach(LIBC, "labs", pid=os.getpid(), force=method) as link:
        assert link.kind.value == method.value
        call_abs(40)
        assert (loaded.counts[3], loaded.counts[4]) == (40, 40)
        assert loaded.counts[5] == (-7) % 2**64


def test_kprobes_attach_or_say_what_is_missing() -> None:
    with Everything().load() as loaded:
        if have(PERF_KPROBE):
            with loaded.in_kernel.attach("ksys_read"):
                os.read(os.open("/dev/zero", os.O_RDONLY), 1)
                assert loaded.counts[6] >= 1
        else:
            with pytest.raises(UnsupportedFeature, match="kprobe"):
                loaded.in_kernel.attach("ksys_read")


def test_a_blueprint_cannot_be_attached() -> None:
    blueprint = Everything()
    with pytest.raises(NotLoaded):
        _ = blueprint.entered
    with pytest.raises(NotLoaded):
        Everything.entered.attach(LIBC, "labs")


def test_unknown_functions_are_named() -> None:
    with Everything().load() as loaded, pytest.raises(SymbolNotFound, match="no_such_function"):
        loaded.entered.attach(LIBC, "no_such_function")


# prctl 22 is PR_SET_SECCOMP, mode 1 strict: read, write, _exit and sigreturn only
SECCOMP_STRICT = (
    "import ctypes, os; ctypes.CDLL(None).prctl(22, 1, 0, 0, 0) == 0 and os.write(1, b'on') and os.read(0, 1)"
)


def test_return_probes_are_refused_where_seccomp_may_kill() -> None:
    command = [sys.executable, "-c", SECCOMP_STRICT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            if child.stdout.read(2) != b"on":
                pytest.skip("needs seccomp (CONFIG_SECCOMP)")
            with Everything().load() as loaded:
                for pid in (child.pid, None):  # by name, and because a probe in every process would reach it
                    with pytest.raises(UnsafeProbeSite, match="seccomp") as caught:
                        loaded.both.attach(LIBC, "labs", pid=pid)
                    assert str(child.pid) in str(caught.value)
                with loaded.entered.attach(LIBC, "labs", pid=child.pid):
                    assert child.poll() is None
        finally:
            child.kill()


def test_probes_see_all_threads_of_the_process() -> None:
    with Everything().load() as loaded, loaded.both.attach(LIBC, "labs", pid=os.getpid()):
        threads = [threading.Thread(target=call_abs, args=(100,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (loaded.counts[3], loaded.counts[4]) == (400, 400)

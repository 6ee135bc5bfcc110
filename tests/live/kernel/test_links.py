"""Attaching to a function of a library that nobody else has: every way that bpf(2) and perf_event_open(2) have."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpf.errors import KernelError, UnsupportedFeature
from pybpf.kernel import features
from pybpf.kernel.constants import AttachType, LinkType, ProgramType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.info import link_ids, link_info, uprobe_multi_info
from pybpf.kernel.link_ops import link_create_perf_event, link_create_uprobe_multi, raw_tracepoint_open
from pybpf.kernel.perf_event import disable, enable, open_kprobe, open_tracepoint, open_uprobe, set_bpf
from pybpf.kernel.prog_ops import prog_load
from pybpf.maps import Array
from pybpf.types import u64
from tests.support.tiny_programs import Target, cookie_into, count_into, own_target

pytestmark = pytest.mark.needs("uprobes")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return own_target(tmp_path)


@pytest.fixture
def counts() -> Iterator[Array[int]]:
    with Array(value=u64, max_entries=2, name="counts").create() as live:
        yield live


def probe(counts: Array[int], attach_type: AttachType = AttachType.NONE, *, cookie: bool = False) -> OwnedFd:
    code = cookie_into(counts.fileno()) if cookie else count_into(counts.fileno())
    return prog_load(ProgramType.KPROBE, code, expected_attach_type=attach_type)


def hits(counts: Array[int], target: Target, calls: int = 3) -> int:
    before = counts[0]
    for _ in range(calls):
        target()
    return counts[0] - before


def need(feature: features.Feature) -> None:
    absent = features.missing(feature)
    if absent is not None:
        pytest.skip(f"needs {feature.name} (Linux {feature.since}): {absent}")


def test_a_session_runs_at_entry_and_at_return(target: Target, counts: Array[int]) -> None:
    need(features.UPROBE_SESSION)
    with (
        probe(counts, AttachType.TRACE_UPROBE_SESSION) as program,
        link_create_uprobe_multi(program, target.path, [target.offset], session=True),
    ):
        assert hits(counts, target, 3) == 6
    assert hits(counts, target) == 0, "the link goes with its descriptor"


@pytest.mark.parametrize("returns", [False, True])
def test_a_multi_link_runs_at_entry_or_at_return(target: Target, counts: Array[int], returns: bool) -> None:
    need(features.UPROBE_MULTI)
    with (
        probe(counts, AttachType.TRACE_UPROBE_MULTI) as program,
        link_create_uprobe_multi(program, target.path, [target.offset], returns=returns, pid=os.getpid()),
    ):
        assert hits(counts, target, 3) == 3


def test_each_site_of_a_multi_link_has_its_cookie(target: Target, counts: Array[int], tmp_path: Path) -> None:
    need(features.UPROBE_MULTI)
    (tmp_path / "other").mkdir()
    other = own_target(tmp_path / "other", "logb")
    with (
        probe(counts, AttachType.TRACE_UPROBE_MULTI, cookie=True) as program,
        link_create_uprobe_multi(
            program, target.path, [other.offset, target.offset], cookies=[100, 1 << 40], pid=os.getpid()
        ) as link,
    ):
        assert hits(counts, target, 2) == 2 << 40
        info = uprobe_multi_info(link)
        assert info.path == str(target.path)
        assert sorted(zip(info.offsets, info.cookies)) == sorted([(other.offset, 100), (target.offset, 1 << 40)])
        assert (info.link.type, info.pid) == (LinkType.UPROBE_MULTI, os.getpid())
        assert info.link.id in set(link_ids())


def test_the_process_filter_leaves_other_processes_alone(target: Target, counts: Array[int]) -> None:
    need(features.UPROBE_MULTI_PID)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with (
            probe(counts, AttachType.TRACE_UPROBE_MULTI) as program,
            link_create_uprobe_multi(program, target.path, [target.offset], pid=other.pid),
        ):
            assert hits(counts, target) == 0
        other.communicate(b"\n")


def test_a_perf_link_with_a_cookie(target: Target, counts: Array[int]) -> None:
    need(features.PERF_LINK)
    with (
        probe(counts, cookie=True) as program,
        open_uprobe(target.path, target.offset) as event,
        link_create_perf_event(program, event, cookie=41) as link,
    ):
        assert hits(counts, target, 2) == 82
        assert link_info(link).type == LinkType.PERF_EVENT


@pytest.mark.parametrize("pid", [None, os.getpid()], ids=["every process", "this process"])
def test_a_perf_event_with_a_program_set_by_ioctl(target: Target, counts: Array[int], pid: int | None) -> None:
    with probe(counts) as program, open_uprobe(target.path, target.offset, returns=True, pid=pid) as event:
        set_bpf(event, program)
        enable(event)
        assert hits(counts, target, 3) == 3
        disable(event)
        assert hits(counts, target, 3) == 3, "the program belongs to the probe, not to the event's counting"
    assert hits(counts, target, 3) == 0


def test_a_place_that_is_no_file_is_named(target: Target, counts: Array[int]) -> None:
    need(features.UPROBE_MULTI)
    with probe(counts, AttachType.TRACE_UPROBE_MULTI) as program:
        with pytest.raises(KernelError, match=r"/nowhere\.so") as caught:
            link_create_uprobe_multi(program, "/nowhere.so", [0])
        assert caught.value.errno == errno.ENOENT
        with pytest.raises(KernelError, match=r"Linux 6\.6"):
            link_create_uprobe_multi(program, target.path, [1 << 40])
    with pytest.raises(KernelError, match=r"/nowhere\.so"):
        open_uprobe("/nowhere.so", 0)


def test_cookies_and_offsets_must_match(counts: Array[int]) -> None:
    with probe(counts) as program:
        with pytest.raises(ValueError, match="2 cookies for 1 offsets"):
            link_create_uprobe_multi(program, "/x", [0], cookies=[1, 2])
        with pytest.raises(ValueError, match="pid"):
            link_create_uprobe_multi(program, "/x", [0], pid=0)


@pytest.mark.needs("tracefs")
def test_a_tracepoint(counts: Array[int]) -> None:
    identifier = int(Path("/sys/kernel/tracing/events/sched/sched_switch/id").read_text())
    with (
        prog_load(ProgramType.TRACEPOINT, count_into(counts.fileno())) as program,
        open_tracepoint(identifier) as event,
    ):
        set_bpf(event, program)
        enable(event)
        subprocess.run(["true"], check=True)
        assert counts[0] > 0


def test_a_raw_tracepoint(counts: Array[int]) -> None:
    with prog_load(ProgramType.RAW_TRACEPOINT, count_into(counts.fileno())) as program:
        with raw_tracepoint_open(program, "sched_switch"):
            subprocess.run(["true"], check=True)
        assert counts[0] > 0
        with pytest.raises(KernelError, match="no_such_tracepoint"):
            raw_tracepoint_open(program, "no_such_tracepoint")


def test_a_kernel_without_kprobes_says_so() -> None:
    try:
        open_kprobe("do_exit").close()
    except UnsupportedFeature as error:
        assert not features.have(features.PERF_KPROBE)
        assert error.tried
    else:
        assert features.have(features.PERF_KPROBE)

"""perf_event_open(2): events that run a program (uprobe, kprobe, tracepoint) or carry its output."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import re
from pathlib import Path
from typing import Any

from pybpf.errors import KernelError, UnsupportedFeature
from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import PerfFlag, PerfIoctl, PerfSample, PerfSoftware, PerfType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.syscall import address, error_of, libc, numbers

PERF_CAPABILITY = "CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8, and where kernel.perf_event_paranoid is 3)"
_FD_CLOEXEC = 1 << 3
_DEVICES = Path("/sys/bus/event_source/devices")


def perf_event_open(attr: Any, what: str, *, pid: int = -1, cpu: int = -1, group: OwnedFd | None = None) -> OwnedFd:
    """The system call itself; ``attr`` comes from :func:`event_attr`, ``what`` names the event in messages."""
    group_fd = group.fileno() if group is not None else -1
    result: int = libc().syscall(
        numbers().perf_event_open,
        address(attr),
        pid & _SIZE_MASK,
        cpu & _SIZE_MASK,
        group_fd & _SIZE_MASK,
        _FD_CLOEXEC,
        0,
    )
    if result < 0:
        raise _open_error(what, ffi.errno)
    return OwnedFd(result, what)


_SIZE_MASK = (1 << 64) - 1


def event_attr(
    event_type: int,
    config: int = 0,
    *,
    config1: int = 0,
    config2: int = 0,
    sample_period: int = 0,
    sample_type: PerfSample | int = 0,
    flags: PerfFlag | int = 0,
    wakeup_events: int = 0,
) -> Any:
    """A ``struct perf_event_attr`` (a cffi pointer), its size set to what this toolkit knows of it."""
    attr = ffi.new("struct perf_event_attr *")
    attr.type = event_type
    attr.size = ffi.sizeof("struct perf_event_attr")
    attr.config = config
    attr.config1 = config1
    attr.config2 = config2
    attr.sample_period = sample_period
    attr.sample_type = sample_type
    attr.flags = flags
    attr.wakeup_events = wakeup_events
    return attr


def open_uprobe(
    path: str | bytes | os.PathLike[str],
    offset: int,
    *,
    returns: bool = False,
    pid: int | None = None,
    ref_ctr_offset: int = 0,
) -> OwnedFd:
    """A probe at a file offset (4.17), in one process or in all; it does nothing until a program is attached.

    ``ref_ctr_offset`` is the file offset of a USDT semaphore (4.20).
    """
    return _open_probe("uprobe", os.fsencode(path), offset, returns, pid, ref_ctr_offset)


def open_kprobe(symbol: str, offset: int = 0, *, returns: bool = False) -> OwnedFd:
    """A probe in a kernel function (4.17); :class:`UnsupportedFeature` on kernels built without them."""
    return _open_probe("kprobe", symbol.encode("ascii"), offset, returns, None, 0)


def open_tracepoint(identifier: int, *, pid: int | None = None) -> OwnedFd:
    """A tracepoint by its number, which tracefs gives in events/GROUP/NAME/id; one event on CPU 0 sees all CPUs."""
    attr = event_attr(PerfType.TRACEPOINT, identifier, sample_period=1)
    what = f"tracepoint {identifier}"
    return perf_event_open(attr, what, pid=-1 if pid is None else pid, cpu=0 if pid is None else -1)


def open_bpf_output(cpu: int, *, wakeup_events: int = 1) -> OwnedFd:
    """The event that carries ``bpf_perf_event_output`` of one CPU (4.4); it wakes every ``wakeup_events`` records."""
    attr = event_attr(
        PerfType.SOFTWARE,
        PerfSoftware.BPF_OUTPUT,
        sample_period=1,
        sample_type=PerfSample.RAW,
        wakeup_events=wakeup_events,
    )
    return perf_event_open(attr, f"perf buffer of CPU {cpu}", cpu=cpu)


def set_bpf(event: OwnedFd, prog: OwnedFd) -> None:
    """Run the program at each event (4.1); a second program on the same event needs a link."""
    _ioctl(event, PerfIoctl.SET_BPF, prog.fileno(), f"attach {prog.what} to {event.what}")


def enable(event: OwnedFd) -> None:
    """Start the event."""
    _ioctl(event, PerfIoctl.ENABLE, 0, f"enable {event.what}")


def disable(event: OwnedFd) -> None:
    """Stop the event's counting and records; a program set on a probe runs on until the event is closed (6.18)."""
    _ioctl(event, PerfIoctl.DISABLE, 0, f"disable {event.what}")


def probe_pmu(kind: str) -> int:
    """The PMU's type number of ``uprobe`` or ``kprobe``: it differs per kernel, sysfs has it (4.17)."""
    try:
        return int((_DEVICES / kind / "type").read_text(encoding="ascii"))
    except FileNotFoundError:
        tried = f"{_DEVICES / kind / 'type'} does not exist"
        raise UnsupportedFeature(f"perf {kind} events", "4.17", (tried,)) from None


@functools.cache
def _return_bit(kind: str) -> int:
    """The bit of config that makes a return probe: ``config:0`` in the PMU's format."""
    text = (_DEVICES / kind / "format" / "retprobe").read_text(encoding="ascii")
    match = re.search(r"config:(\d+)", text)
    return int(match.group(1)) if match else 0


def _open_probe(kind: str, target: bytes, offset: int, returns: bool, pid: int | None, ref_ctr_offset: int) -> OwnedFd:
    pmu = probe_pmu(kind)
    text = ffi.new("char[]", target)
    config = (1 << _return_bit(kind) if returns else 0) | ref_ctr_offset << 32
    attr = event_attr(pmu, config, config1=address(text), config2=offset)
    what = f"{'return ' if returns else ''}{kind} at {os.fsdecode(target)}+{offset:#x}"
    # A probe without a process must name a CPU, and then fires on all of them.
    return perf_event_open(attr, what, pid=-1 if pid is None else pid, cpu=0 if pid is None else -1)


def _ioctl(event: OwnedFd, request: PerfIoctl, argument: int, operation: str) -> None:
    try:
        fcntl.ioctl(event.fileno(), request, argument)
    except OSError as error:
        raise error_of(operation, error.errno or errno.EIO, PERF_CAPABILITY) from None


def _open_error(what: str, number: int) -> KernelError:
    hint = ""
    if number == errno.EACCES:
        hint = f"kernel.perf_event_paranoid is {_paranoid()}; run as root or with {PERF_CAPABILITY}"
    elif number == errno.ENOENT:
        hint = "no such file, function or tracepoint"
    return error_of(f"open {what}", number, PERF_CAPABILITY, hint)


def _paranoid() -> str:
    try:
        return Path("/proc/sys/kernel/perf_event_paranoid").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"

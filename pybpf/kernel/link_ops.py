"""Attaching through bpf(2): links that live as long as their descriptor, and raw tracepoints."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from pybpf.errors import KernelError
from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import AttachType, Command, UprobeMultiFlag
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.syscall import address, bpf, bpf_raw, error_of

TRACING_CAPABILITY = "CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8)"


def link_create_perf_event(prog: OwnedFd, event: OwnedFd, *, cookie: int = 0) -> OwnedFd:
    """Attach a program to a perf event (kprobe, uprobe, tracepoint), with a cookie of 64 bits it can read (5.15)."""
    attr = ffi.new("struct link_create_perf_event *")
    attr.prog_fd = prog.fileno()
    attr.target_fd = event.fileno()
    attr.attach_type = AttachType.PERF_EVENT
    attr.bpf_cookie = cookie
    what = f"link of {prog.what} to {event.what}"
    result = bpf_raw(Command.LINK_CREATE, attr)
    if result < 0:
        hint = "links to perf events came with Linux 5.15" if -result == errno.EINVAL else ""
        raise error_of(f"create {what}", -result, TRACING_CAPABILITY, hint)
    return OwnedFd(result, what)


def link_create_uprobe_multi(
    prog: OwnedFd,
    path: str | bytes | os.PathLike[str],
    offsets: Sequence[int],
    *,
    cookies: Sequence[int] | None = None,
    ref_ctr_offsets: Sequence[int] | None = None,
    pid: int | None = None,
    returns: bool = False,
    session: bool = False,
) -> OwnedFd:
    """Attach one program to many sites of one file (6.6); ``session`` runs it at entry and at return (6.13).

    ``offsets`` are file offsets in bytes, ``cookies`` and ``ref_ctr_offsets`` one for each. ``pid`` restricts it to one
    process (all threads of it from 6.10; broken before, see :data:`pybpf.kernel.features.UPROBE_MULTI_PID`). The
    program's expected attach type must be TRACE_UPROBE_MULTI or TRACE_UPROBE_SESSION accordingly.
    """
    for given, what in ((cookies, "cookies"), (ref_ctr_offsets, "ref_ctr_offsets")):
        if given is not None and len(given) != len(offsets):
            raise ValueError(f"{len(given)} {what} for {len(offsets)} offsets")
    if pid is not None and pid <= 0:
        raise ValueError(f"pid {pid} is no process; None means every process")
    path_text = ffi.new("char[]", os.fsencode(path))
    offset_array = ffi.new("uint64_t[]", list(offsets))
    cookie_array = ffi.new("uint64_t[]", list(cookies)) if cookies is not None else ffi.NULL
    counter_array = ffi.new("uint64_t[]", list(ref_ctr_offsets)) if ref_ctr_offsets is not None else ffi.NULL
    attr = ffi.new("struct link_create_uprobe_multi *")
    attr.prog_fd = prog.fileno()
    attr.attach_type = AttachType.TRACE_UPROBE_SESSION if session else AttachType.TRACE_UPROBE_MULTI
    attr.path = address(path_text)
    attr.offsets = address(offset_array)
    attr.cookies = address(cookie_array)
    attr.ref_ctr_offsets = address(counter_array)
    attr.cnt = len(offsets)
    attr.uprobe_flags = UprobeMultiFlag.RETURN if returns else 0
    attr.pid = pid or 0
    what = f"link of {prog.what} to {len(offsets)} sites of {os.fsdecode(path)}"
    result = bpf_raw(Command.LINK_CREATE, attr)
    if result < 0:
        raise _uprobe_multi_error(f"create {what}", -result, session)
    return OwnedFd(result, what)


def _uprobe_multi_error(operation: str, number: int, session: bool) -> KernelError:
    hint = ""
    if number == errno.EINVAL:
        kind, since = ("sessions", "6.13") if session else ("uprobe_multi links", "6.6")
        hint = f"uprobe {kind} came with Linux {since}; or an offset is no place for a probe"
    elif number == errno.EBADF:
        hint = "the file is no regular file, or a descriptor is closed"
    return error_of(operation, number, TRACING_CAPABILITY, hint)


def link_detach(link: OwnedFd) -> None:
    """Detach now, though other descriptors of the link may be open (5.9; uprobe_multi links have no detach)."""
    attr = ffi.new("struct link_detach *")
    attr.link_fd = link.fileno()
    bpf(Command.LINK_DETACH, attr, f"detach {link.what}", TRACING_CAPABILITY)


def raw_tracepoint_open(prog: OwnedFd, name: str, *, cookie: int = 0) -> OwnedFd:
    """Attach to the raw tracepoint ``name`` (4.17; with a cookie 6.10).

    An empty name attaches a TRACING or LSM program (5.5) where its attach BTF id says.
    """
    name_text = ffi.new("char[]", name.encode("ascii"))
    attr = ffi.new("struct raw_tracepoint_open *")
    attr.name = address(name_text) if name else 0
    attr.prog_fd = prog.fileno()
    attr.cookie = cookie
    what = f"link of {prog.what} to " + (f"raw tracepoint {name}" if name else "what it traces")
    return OwnedFd(bpf(Command.RAW_TRACEPOINT_OPEN, attr, f"create {what}", TRACING_CAPABILITY), what)

"""Another process's memory, read in batches: process_vm_readv(2) (Linux 3.2).

It copies without stopping the target and needs what ptrace needs: the same user and no Yama restriction, or
CAP_SYS_PTRACE.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from pybpf.errors import KernelError
from pybpf.kernel._ffi import ffi
from pybpf.kernel.syscall import address, error_of, libc

MAX_SPANS_PER_CALL = 1024
"""IOV_MAX of the kernel (UIO_MAXIOV, include/uapi/linux/uio.h)."""

MAX_BYTES_PER_CALL = 16 << 20
"""Bounds the buffer of one call; a single larger span still goes in one."""

_TOP = 1 << 64


def process_vm_readv(pid: int, spans: Sequence[tuple[int, int]]) -> list[bytes | None]:
    """Read ``spans`` of (address, size in bytes) from process ``pid``: one answer each, None where not readable.

    A span is read whole or not at all; memory may change between two spans and within one. Addresses outside the
    64-bit space answer None, so a pointer read from damaged memory is safe to follow; sizes are the caller's to bound.
    Raises :class:`PermissionDenied` (CAP_SYS_PTRACE) and :class:`KernelError` with ESRCH when the process is gone,
    ValueError for a negative size.
    """
    answers: list[bytes | None] = [None] * len(spans)
    wanted: list[int] = []
    for index, (start, size) in enumerate(spans):
        if size < 0:
            raise ValueError(f"span {index} has the negative size {size}")
        if size == 0:
            answers[index] = b""
        elif 0 <= start and start + size <= _TOP:
            wanted.append(index)
    position = 0
    while position < len(wanted):
        position = _read_some(pid, spans, wanted, position, answers)
    return answers


def _read_some(
    pid: int, spans: Sequence[tuple[int, int]], wanted: list[int], position: int, answers: list[bytes | None]
) -> int:
    """One system call from ``wanted[position]`` on; returns the position to go on from."""
    total = 0
    end = position
    while end < len(wanted) and end - position < MAX_SPANS_PER_CALL:
        size = spans[wanted[end]][1]
        if end > position and total + size > MAX_BYTES_PER_CALL:
            break
        total += size
        end += 1
    count = end - position
    buffer = bytearray(total)
    keep = ffi.from_buffer(buffer)
    local = ffi.new("struct iovec *", (address(keep), total))
    remote = ffi.new("struct iovec[]", [spans[index] for index in wanted[position:end]])
    got: int = libc().process_vm_readv(pid, local, 1, remote, count, 0)
    if got < 0:
        if ffi.errno != errno.EFAULT:
            raise _failure(pid, ffi.errno)
        got = 0
    offset = 0
    view = memoryview(buffer)
    for index in wanted[position:end]:
        size = spans[index][1]
        if offset + size > got:
            # The kernel stops at the first bad page; this span has it, the ones after are not yet tried.
            return position + 1
        answers[index] = bytes(view[offset : offset + size])
        offset += size
        position += 1
    return position


def _failure(pid: int, number: int) -> KernelError:
    if number == errno.ESRCH:
        return KernelError(f"read memory of process {pid}", number, "the process has ended")
    return error_of(
        f"read memory of process {pid}",
        number,
        "CAP_SYS_PTRACE",
        "run as root, with CAP_SYS_PTRACE, or as the process's user with kernel.yama.ptrace_scope=0",
    )

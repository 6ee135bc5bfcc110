"""Loading programs and BTF, and running a program on test data."""

from __future__ import annotations

import errno
import functools
import mmap
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

from pybpf.errors import KernelError, ProgramRejected
from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import AttachType, Command, LogLevel, ProgramFlag, ProgramType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.memlock import with_memlock
from pybpf.kernel.syscall import BPF_CAPABILITY, address, bpf, bpf_raw, error_of, object_name

INSTRUCTION_SIZE = 8
FUNC_INFO_SIZE = 8
LINE_INFO_SIZE = 16

LOG_SIZE = (1 << 24) - 1
"""The largest log every kernel takes (UINT_MAX >> 8 until 5.2); its pages cost nothing until written."""

_ATTEMPTS = 5


@dataclass(frozen=True)
class TestRun:
    """What PROG_TEST_RUN gave: the program's result, the data it left, and the mean time of a run in ns."""

    # pytest would take the class for a collection of tests.
    __test__ = False

    return_value: int
    data: bytes
    duration_ns: int
    context: bytes = b""


def prog_load(
    prog_type: ProgramType,
    instructions: bytes,
    *,
    license: str = "GPL",  # noqa: A002 - the word of the kernel and of its tools
    name: str = "",
    expected_attach_type: AttachType | int = AttachType.NONE,
    btf_fd: OwnedFd | None = None,
    func_info: bytes = b"",
    line_info: bytes = b"",
    flags: ProgramFlag | int = 0,
    attach_btf_id: int = 0,
    log_level: LogLevel | int = 0,
    on_log: Callable[[str], None] | None = None,
    token: OwnedFd | None = None,
) -> OwnedFd:
    """Load a program: 8 bytes an instruction, ``func_info`` 8 and ``line_info`` 16 bytes a record (4.20, 5.0).

    The first attempt asks for no log, which is several times faster; a rejection is tried once more with one and
    raises :class:`ProgramRejected`. Without a verifier's log (no privilege, unknown program type) it is a
    :class:`KernelError`. With ``log_level`` set, ``on_log`` is given the log of a successful load. A BPF ``token``
    stands in for capabilities (6.9).
    """
    if not instructions or len(instructions) % INSTRUCTION_SIZE:
        raise ValueError(f"a program is whole 8-byte instructions, not {len(instructions)} bytes")
    attr = ffi.new("struct prog_load *")
    keep = [ffi.from_buffer(part) for part in (instructions, func_info, line_info)]
    license_text = ffi.new("char[]", license.encode("ascii"))
    attr.prog_type = prog_type
    attr.insn_cnt = len(instructions) // INSTRUCTION_SIZE
    attr.insns = address(keep[0])
    attr.license = address(license_text)
    attr.kern_version = _kernel_version_code()
    attr.prog_flags = flags
    attr.prog_name = object_name(name)
    attr.expected_attach_type = expected_attach_type
    attr.attach_btf_id = attach_btf_id
    if token is not None:
        attr.prog_token_fd = token.fileno()
        attr.prog_flags |= ProgramFlag.TOKEN_FD
    if btf_fd is not None:
        attr.prog_btf_fd = btf_fd.fileno()
        attr.func_info_rec_size = FUNC_INFO_SIZE if func_info else 0
        attr.func_info = address(keep[1]) if func_info else 0
        attr.func_info_cnt = len(func_info) // FUNC_INFO_SIZE
        attr.line_info_rec_size = LINE_INFO_SIZE if line_info else 0
        attr.line_info = address(keep[2]) if line_info else 0
        attr.line_info_cnt = len(line_info) // LINE_INFO_SIZE
    what = f"program {name}" if name else f"{prog_type.name} program"
    log = _Log(attr, "log_buf", "log_size", "log_level", "log_true_size")
    if log_level:
        log.enable(log_level)
    result = with_memlock(lambda: _load(attr))
    if result >= 0:
        if log_level and on_log is not None:
            on_log(log.text())
        return OwnedFd(result, what)
    if not log_level:
        log.enable(LogLevel.PATH)
        again = _load(attr)
        if again >= 0:
            # Refused at first and accepted now: memory was short, or a map was frozen in between.
            return OwnedFd(again, what)
        result = again if again != -errno.ENOSPC else result
    _raise(f"load {what}", -result, log, prog_type.capability)
    raise AssertionError("unreachable")


def btf_load(data: bytes, *, token: OwnedFd | None = None) -> OwnedFd:
    """Give a program's BTF to the kernel (4.18); :class:`ProgramRejected` with the checker's log when it is refused."""
    attr = ffi.new("struct btf_load *")
    keep = ffi.from_buffer(data)
    attr.btf = address(keep)
    attr.btf_size = len(data)
    if token is not None:
        attr.btf_token_fd = token.fileno()
        attr.btf_flags = ProgramFlag.TOKEN_FD
    result = with_memlock(lambda: bpf_raw(Command.BTF_LOAD, attr))
    if result >= 0:
        return OwnedFd(result, "BTF")
    log = _Log(attr, "btf_log_buf", "btf_log_size", "btf_log_level", "btf_log_true_size")
    log.enable(LogLevel.PATH)
    again = bpf_raw(Command.BTF_LOAD, attr)
    if again >= 0:
        return OwnedFd(again, "BTF")
    _raise("load BTF", -result, log, BPF_CAPABILITY)
    raise AssertionError("unreachable")


def prog_test_run(
    fd: OwnedFd, data: bytes = b"", *, repeat: int = 1, context: bytes = b"", data_out_size: int | None = None
) -> TestRun:
    """Run a program on ``data`` (a packet, at least 14 bytes with its Ethernet header) without attaching it (4.12).

    Socket filters and the classifiers take data; ENOTSUPP (524) for kinds that have no test run, kprobe among them.
    ``data_out_size`` bounds the data handed back (256 bytes more than went in when None).
    """
    attr = ffi.new("struct prog_test_run *")
    keep = [ffi.from_buffer(data), ffi.from_buffer(context)]
    out = bytearray(len(data) + 256 if data_out_size is None else data_out_size)
    context_out = bytearray(len(context))
    out_buffer, context_buffer = ffi.from_buffer(out), ffi.from_buffer(context_out)
    attr.prog_fd = fd.fileno()
    attr.repeat = repeat
    if data:
        attr.data_in, attr.data_size_in = address(keep[0]), len(data)
        attr.data_out, attr.data_size_out = address(out_buffer), len(out)
    if context:
        attr.ctx_in, attr.ctx_size_in = address(keep[1]), len(context)
        attr.ctx_out, attr.ctx_size_out = address(context_buffer), len(context_out)
    bpf(Command.PROG_TEST_RUN, attr, f"test run of {fd.what}")
    return TestRun(
        return_value=attr.retval,
        data=bytes(out[: attr.data_size_out]) if data else b"",
        duration_ns=attr.duration,
        context=bytes(context_out[: attr.ctx_size_out]) if context else b"",
    )


def prog_bind_map(prog: OwnedFd, map_fd: OwnedFd) -> None:
    """Keep a map alive as long as the program, though no instruction refers to it (5.10)."""
    attr = ffi.new("struct prog_bind_map *")
    attr.prog_fd, attr.map_fd = prog.fileno(), map_fd.fileno()
    bpf(Command.PROG_BIND_MAP, attr, f"bind {map_fd.what} to {prog.what}")


class _Log:
    """The log buffer of a load, and the members of its structure that tell the kernel about it."""

    def __init__(self, attr: Any, buffer: str, size: str, level: str, true_size: str) -> None:
        self._attr = attr
        self._members = (buffer, size, level)
        self._true_size = true_size
        self._memory: mmap.mmap | None = None

    def enable(self, level: LogLevel | int) -> None:
        buffer, size, level_member = self._members
        self._memory = mmap.mmap(-1, LOG_SIZE)
        self._keep = ffi.from_buffer(self._memory)
        setattr(self._attr, buffer, address(self._keep))
        setattr(self._attr, size, LOG_SIZE)
        setattr(self._attr, level_member, int(level))

    @property
    def truncated(self) -> bool:
        """From 6.4 the kernel says how long the log was (commit 47a71c1f9af0) and keeps its end."""
        return bool(getattr(self._attr, self._true_size) > LOG_SIZE)

    def text(self) -> str:
        if self._memory is None:
            return ""
        end = self._memory.find(b"\0")
        return self._memory[: end if end >= 0 else None].decode("utf-8", "replace")


def _load(attr: Any) -> int:
    """PROG_LOAD; the verifier gives EAGAIN when a signal came while it worked."""
    result = -errno.EAGAIN
    for _ in range(_ATTEMPTS):
        result = bpf_raw(Command.PROG_LOAD, attr)
        if result != -errno.EAGAIN:
            break
    return result


def _raise(operation: str, number: int, log: _Log, capability: str) -> None:
    text = log.text()
    if text.strip():
        raise ProgramRejected(operation, number, text, log.truncated or number == errno.ENOSPC)
    # EACCES is the verifier's word for a bad access; without a log it never got that far.
    error: KernelError = error_of(operation, number, capability)
    if number == errno.EINVAL:
        error = KernelError(operation, number, "the kernel does not know this program type, attach type or flag")
    raise error


@functools.cache
def _kernel_version_code() -> int:
    """LINUX_VERSION_CODE: kernels before 5.0 refuse a kprobe program that does not name their own version.

    Debian's release string lacks the last number; its version string has it.
    """
    system = os.uname()
    return version_code(system.release, system.version)


def version_code(release: str, version: str = "") -> int:
    """``5.10.0-28-amd64`` (and uname's version string) as the number the kernel compiles in."""
    match = re.search(r"Debian (\d+)\.(\d+)\.(\d+)", version) or re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if match is None:
        return 0
    major, minor, patch = (int(part or 0) for part in match.groups())
    return (major << 16) + (minor << 8) + min(patch, 255)


def kernel_version() -> Sequence[int]:
    """The running kernel's (major, minor), for messages only: what it can do is found by trying."""
    code = _kernel_version_code()
    return code >> 16, code >> 8 & 0xFF

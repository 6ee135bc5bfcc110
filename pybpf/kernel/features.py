"""What this kernel can do, found by trying: a feature is a tiny program or call, tried once per process.

Versions are kept for messages only; distributions carry features back to older kernels.
"""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pybpf.errors import KernelError, PermissionDenied, ProgramRejected, UnsupportedFeature
from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import AttachType, Command, LogLevel, MapType, ProgramType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.map_ops import NO_BATCHES, map_batch, map_create
from pybpf.kernel.perf_event import probe_pmu
from pybpf.kernel.prog_ops import prog_load
from pybpf.kernel.syscall import address, bpf_raw, error_of


@dataclass(frozen=True)
class Feature:
    """Something a kernel has or has not; ``probe`` gives None when it has, else what was tried and how it failed."""

    name: str
    since: str
    probe: Callable[[], str | None] = field(compare=False, repr=False)


def have(feature: Feature) -> bool:
    """True when this kernel has it; :class:`PermissionDenied` when this process may not even ask."""
    return missing(feature) is None


def require(feature: Feature) -> None:
    """Raise :class:`UnsupportedFeature` unless this kernel has it."""
    tried = missing(feature)
    if tried is not None:
        raise UnsupportedFeature(feature.name, feature.since, (tried,))


@functools.cache
def missing(feature: Feature) -> str | None:
    """None when this kernel has it, else what was tried and how it failed. A refusal for privilege is not kept."""
    return feature.probe()


def have_helper(helper: int, program_type: ProgramType = ProgramType.KPROBE) -> bool:
    """True when programs of this type may call the helper of that number (``enum bpf_func_id``)."""
    return _helper_missing(helper, program_type) is None


# The few instructions the probes need, as bytes: the assembler builds on this package.
def _code(opcode: int, registers: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, registers, offset, imm)


_RETURN_0 = _code(0xB7) + _code(0x95)

_LOOP = (
    _code(0xB7, 0x01)  # r1 = 0
    + _code(0x07, 0x01, imm=1)  # r1 += 1
    + _code(0xA5, 0x01, -2, 10)  # if r1 < 10 goto -2
    + _RETURN_0
)

_FETCH_ADD = (
    _code(0x7A, 0x0A, -8)  # *(u64 *)(r10 - 8) = 0
    + _code(0xB7, 0x01, imm=1)  # r1 = 1
    + _code(0xDB, 0x1A, -8, 0x01)  # r1 = atomic_fetch_add((u64 *)(r10 - 8), r1)
    + _RETURN_0
)

_SIGN_EXTEND = _code(0xB7, 0x01, imm=1) + _code(0xBF, 0x11, 8) + _RETURN_0  # r1 = (s8) r1


def _program(
    code: bytes, program_type: ProgramType = ProgramType.SOCKET_FILTER, attach_type: AttachType = AttachType.NONE
) -> str | None:
    try:
        prog_load(program_type, code, expected_attach_type=attach_type).close()
    except PermissionDenied:
        raise
    except KernelError as error:
        return str(error)
    return None


def _map(map_type: MapType, key_size: int, value_size: int, entries: int) -> Callable[[], str | None]:
    def probe() -> str | None:
        try:
            map_create(map_type, key_size, value_size, entries).close()
        except PermissionDenied:
            raise
        except KernelError as error:
            return str(error)
        return None

    return probe


@functools.cache
def _helper_missing(helper: int, program_type: ProgramType) -> str | None:
    """A call without arguments is always refused; what counts is whether for the helper or for the arguments."""
    try:
        prog_load(program_type, _code(0x85, imm=helper) + _code(0x95), log_level=LogLevel.PATH).close()
    except ProgramRejected as error:
        for words in ("invalid func", "unknown func", "cannot use helper"):
            if words in error.log:
                return f"a {program_type.name} program that calls helper {helper}: {words}"
    except PermissionDenied:
        raise
    except KernelError as error:
        return str(error)
    return None


def _helper(helper: int, program_type: ProgramType = ProgramType.KPROBE) -> Callable[[], str | None]:
    return functools.partial(_helper_missing, helper, program_type)


def _batches() -> str | None:
    with map_create(MapType.HASH, 4, 4, 1) as probed:
        try:
            list(map_batch(probed, 4, 4, 1))
        except KernelError as error:
            if error.errno not in NO_BATCHES:
                raise
            return str(error)
    return None


def _perf_link() -> str | None:
    """A link to no event at all: EBADF comes from the code that would make it, EINVAL from kernels without."""
    attr = ffi.new("struct link_create_perf_event *")
    with prog_load(ProgramType.KPROBE, _RETURN_0) as prog:
        attr.prog_fd = prog.fileno()
        attr.target_fd = 0xFFFFFFFF
        attr.attach_type = AttachType.PERF_EVENT
        return _link_answer(bpf_raw(Command.LINK_CREATE, attr), "link to a perf event")


def _multi_link(attach_type: AttachType, pid: int, path: bytes = b"/") -> int:
    """The kernel's answer to a uprobe_multi link on a directory: EBADF where it knows such links."""
    with prog_load(ProgramType.KPROBE, _RETURN_0, expected_attach_type=attach_type) as prog:
        attr = ffi.new("struct link_create_uprobe_multi *")
        path_text = ffi.new("char[]", path)
        offsets = ffi.new("uint64_t[]", [0])
        attr.prog_fd = prog.fileno()
        attr.attach_type = attach_type
        attr.path, attr.offsets = address(path_text), address(offsets)
        attr.cnt = 1
        attr.pid = pid
        return bpf_raw(Command.LINK_CREATE, attr)


def _link_answer(result: int, what: str) -> str | None:
    if result == -errno.EBADF:
        return None
    if result >= 0:
        OwnedFd(result, what).close()
        return None
    error = error_of(what, -result, "CAP_PERFMON")
    if isinstance(error, PermissionDenied):
        raise error
    return str(error)


def _uprobe_multi() -> str | None:
    try:
        return _link_answer(_multi_link(AttachType.TRACE_UPROBE_MULTI, 0), "uprobe_multi link")
    except ProgramRejected as error:
        return str(error)


def _uprobe_session() -> str | None:
    try:
        return _link_answer(_multi_link(AttachType.TRACE_UPROBE_SESSION, 0), "uprobe session link")
    except PermissionDenied:
        raise
    except KernelError as error:
        return str(error)


def _uprobe_multi_pid() -> str | None:
    """Kernels that had the filter wrong do not look at the number before the path (commit 46ba0e49b642)."""
    absent = _uprobe_multi()
    if absent is not None:
        return absent
    result = _multi_link(AttachType.TRACE_UPROBE_MULTI, 0xFFFFFFFF)
    if result in (-errno.EINVAL, -errno.ESRCH):
        return None
    return f"uprobe_multi link for pid -1: accepted as far as the path ({errno.errorcode.get(-result, result)})"


def _pmu(kind: str) -> Callable[[], str | None]:
    def probe() -> str | None:
        try:
            probe_pmu(kind)
        except UnsupportedFeature as error:
            return "; ".join(error.tried)
        return None

    return probe


def _kernel_btf() -> str | None:
    path = Path("/sys/kernel/btf/vmlinux")
    return None if path.exists() else f"{path} does not exist"


RING_BUFFER = Feature("BPF ring buffer", "5.8", _map(MapType.RINGBUF, 0, 0, 65536))
PER_CPU_HASH = Feature("per-CPU hash map", "4.6", _map(MapType.PERCPU_HASH, 4, 4, 1))
BATCHES = Feature("batched map operations", "5.6", _batches)
MEMCG_ACCOUNTING = Feature("BPF memory without RLIMIT_MEMLOCK", "5.11", _helper(160, ProgramType.SOCKET_FILTER))
BOUNDED_LOOPS = Feature("bounded loops", "5.3", functools.partial(_program, _LOOP))
ATOMIC_FETCH = Feature("atomic operations that fetch", "5.12", functools.partial(_program, _FETCH_ADD))
ISA_V4 = Feature("instruction set v4", "6.6", functools.partial(_program, _SIGN_EXTEND))
PROBE_READ_USER = Feature("bpf_probe_read_user", "5.5", _helper(112))
BPF_LOOP = Feature("bpf_loop", "5.17", _helper(181))
ATTACH_COOKIE = Feature("bpf_get_attach_cookie", "5.15", _helper(174))
TASK_STORAGE = Feature("task local storage in probes", "5.11", _helper(156))
KERNEL_BTF = Feature("BTF of the kernel", "5.4", _kernel_btf)
PERF_UPROBE = Feature("perf uprobe events", "4.17", _pmu("uprobe"))
PERF_KPROBE = Feature("perf kprobe events", "4.17", _pmu("kprobe"))
PERF_LINK = Feature("BPF link to a perf event", "5.15", _perf_link)
UPROBE_MULTI = Feature("uprobe_multi link", "6.6", _uprobe_multi)
UPROBE_MULTI_PID = Feature("uprobe_multi link for one process", "6.10", _uprobe_multi_pid)
UPROBE_SESSION = Feature("uprobe session", "6.13", _uprobe_session)

ALL = (
    RING_BUFFER,
    PER_CPU_HASH,
    BATCHES,
    MEMCG_ACCOUNTING,
    BOUNDED_LOOPS,
    ATOMIC_FETCH,
    ISA_V4,
    PROBE_READ_USER,
    BPF_LOOP,
    ATTACH_COOKIE,
    TASK_STORAGE,
    KERNEL_BTF,
    PERF_UPROBE,
    PERF_KPROBE,
    PERF_LINK,
    UPROBE_MULTI,
    UPROBE_MULTI_PID,
    UPROBE_SESSION,
)
"""Every feature, for a report (``epicsmon doctor``)."""

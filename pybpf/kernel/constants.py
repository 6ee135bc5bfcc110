"""The kernel's numbers as enums; each member carries ``since``, the kernel that brought it.

Names are the kernel's without the prefix (``BPF_MAP_TYPE_HASH`` is ``MapType.HASH``). The values are ABI
(include/uapi/linux/bpf.h, perf_event.h); a live test holds them against the running kernel's BTF.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class _Since(IntEnum):
    """An integer of the kernel's ABI and the version that brought it."""

    since: str

    def __new__(cls, value: int, since: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.since = since
        return member


class Command(_Since):
    """Commands of bpf(2): ``enum bpf_cmd``."""

    MAP_CREATE = 0, "3.18"
    MAP_LOOKUP_ELEM = 1, "3.19"
    MAP_UPDATE_ELEM = 2, "3.19"
    MAP_DELETE_ELEM = 3, "3.19"
    MAP_GET_NEXT_KEY = 4, "3.19"
    PROG_LOAD = 5, "3.18"
    OBJ_PIN = 6, "4.4"
    OBJ_GET = 7, "4.4"
    PROG_TEST_RUN = 10, "4.12"
    PROG_GET_NEXT_ID = 11, "4.13"
    MAP_GET_NEXT_ID = 12, "4.13"
    PROG_GET_FD_BY_ID = 13, "4.13"
    MAP_GET_FD_BY_ID = 14, "4.13"
    OBJ_GET_INFO_BY_FD = 15, "4.13"
    RAW_TRACEPOINT_OPEN = 17, "4.17"
    BTF_LOAD = 18, "4.18"
    BTF_GET_FD_BY_ID = 19, "4.18"
    MAP_LOOKUP_AND_DELETE_ELEM = 21, "4.20"
    MAP_FREEZE = 22, "5.2"
    MAP_LOOKUP_BATCH = 24, "5.6"
    MAP_LOOKUP_AND_DELETE_BATCH = 25, "5.6"
    MAP_UPDATE_BATCH = 26, "5.6"
    MAP_DELETE_BATCH = 27, "5.6"
    LINK_CREATE = 28, "5.7"
    LINK_UPDATE = 29, "5.7"
    LINK_GET_FD_BY_ID = 30, "5.8"
    LINK_GET_NEXT_ID = 31, "5.8"
    ENABLE_STATS = 32, "5.8"
    LINK_DETACH = 34, "5.9"
    PROG_BIND_MAP = 35, "5.10"
    TOKEN_CREATE = 36, "6.9"


class MapType(_Since):
    """Kinds of maps: ``enum bpf_map_type``."""

    HASH = 1, "3.19"
    ARRAY = 2, "3.19"
    PROG_ARRAY = 3, "4.2"
    PERF_EVENT_ARRAY = 4, "4.3"
    PERCPU_HASH = 5, "4.6"
    PERCPU_ARRAY = 6, "4.6"
    STACK_TRACE = 7, "4.6"
    CGROUP_ARRAY = 8, "4.8"
    LRU_HASH = 9, "4.10"
    LRU_PERCPU_HASH = 10, "4.10"
    LPM_TRIE = 11, "4.11"
    ARRAY_OF_MAPS = 12, "4.12"
    HASH_OF_MAPS = 13, "4.12"
    DEVMAP = 14, "4.14"
    SOCKMAP = 15, "4.14"
    CPUMAP = 16, "4.15"
    XSKMAP = 17, "4.18"
    SOCKHASH = 18, "4.18"
    CGROUP_STORAGE = 19, "4.19"
    REUSEPORT_SOCKARRAY = 20, "4.19"
    PERCPU_CGROUP_STORAGE = 21, "4.20"
    QUEUE = 22, "4.20"
    STACK = 23, "4.20"
    SK_STORAGE = 24, "5.2"
    DEVMAP_HASH = 25, "5.4"
    STRUCT_OPS = 26, "5.6"
    RINGBUF = 27, "5.8"
    INODE_STORAGE = 28, "5.10"
    TASK_STORAGE = 29, "5.11"
    BLOOM_FILTER = 30, "5.16"
    USER_RINGBUF = 31, "6.1"
    CGRP_STORAGE = 32, "6.2"
    ARENA = 33, "6.9"

    @property
    def per_cpu(self) -> bool:
        """True when an element holds one value per possible CPU."""
        return self in (
            MapType.PERCPU_HASH,
            MapType.PERCPU_ARRAY,
            MapType.LRU_PERCPU_HASH,
            MapType.PERCPU_CGROUP_STORAGE,
        )


class ProgramType(_Since):
    """Kinds of programs: ``enum bpf_prog_type``."""

    SOCKET_FILTER = 1, "3.19"
    KPROBE = 2, "4.1"
    SCHED_CLS = 3, "4.1"
    SCHED_ACT = 4, "4.1"
    TRACEPOINT = 5, "4.7"
    XDP = 6, "4.8"
    PERF_EVENT = 7, "4.9"
    CGROUP_SKB = 8, "4.10"
    CGROUP_SOCK = 9, "4.10"
    LWT_IN = 10, "4.10"
    LWT_OUT = 11, "4.10"
    LWT_XMIT = 12, "4.10"
    SOCK_OPS = 13, "4.13"
    SK_SKB = 14, "4.14"
    CGROUP_DEVICE = 15, "4.15"
    SK_MSG = 16, "4.17"
    RAW_TRACEPOINT = 17, "4.17"
    CGROUP_SOCK_ADDR = 18, "4.17"
    LWT_SEG6LOCAL = 19, "4.18"
    LIRC_MODE2 = 20, "4.18"
    SK_REUSEPORT = 21, "4.19"
    FLOW_DISSECTOR = 22, "4.20"
    CGROUP_SYSCTL = 23, "5.2"
    RAW_TRACEPOINT_WRITABLE = 24, "5.2"
    CGROUP_SOCKOPT = 25, "5.3"
    TRACING = 26, "5.5"
    STRUCT_OPS = 27, "5.6"
    EXT = 28, "5.6"
    LSM = 29, "5.7"
    SK_LOOKUP = 30, "5.9"
    SYSCALL = 31, "5.14"
    NETFILTER = 32, "6.4"

    @property
    def capability(self) -> str:
        """What loading one asks for, since 5.8 split CAP_SYS_ADMIN (commit 2c78ee898d8f)."""
        if self in (
            ProgramType.KPROBE,
            ProgramType.TRACEPOINT,
            ProgramType.PERF_EVENT,
            ProgramType.RAW_TRACEPOINT,
            ProgramType.RAW_TRACEPOINT_WRITABLE,
            ProgramType.TRACING,
            ProgramType.LSM,
            ProgramType.STRUCT_OPS,
            ProgramType.EXT,
        ):
            return "CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8)"
        if self in (ProgramType.SOCKET_FILTER, ProgramType.CGROUP_SKB, ProgramType.SK_REUSEPORT, ProgramType.SYSCALL):
            return "CAP_BPF (CAP_SYS_ADMIN before Linux 5.8)"
        return "CAP_BPF and CAP_NET_ADMIN (CAP_SYS_ADMIN before Linux 5.8)"


class AttachType(_Since):
    """Where a program is attached: ``enum bpf_attach_type``."""

    NONE = 0, "4.10"
    """Also CGROUP_INET_INGRESS."""
    CGROUP_INET_EGRESS = 1, "4.10"
    CGROUP_INET_SOCK_CREATE = 2, "4.10"
    CGROUP_SOCK_OPS = 3, "4.13"
    SK_SKB_STREAM_PARSER = 4, "4.14"
    SK_SKB_STREAM_VERDICT = 5, "4.14"
    CGROUP_DEVICE = 6, "4.15"
    SK_MSG_VERDICT = 7, "4.17"
    CGROUP_INET4_BIND = 8, "4.17"
    CGROUP_INET6_BIND = 9, "4.17"
    CGROUP_INET4_CONNECT = 10, "4.17"
    CGROUP_INET6_CONNECT = 11, "4.17"
    CGROUP_INET4_POST_BIND = 12, "4.17"
    CGROUP_INET6_POST_BIND = 13, "4.17"
    CGROUP_UDP4_SENDMSG = 14, "4.18"
    CGROUP_UDP6_SENDMSG = 15, "4.18"
    LIRC_MODE2 = 16, "4.18"
    FLOW_DISSECTOR = 17, "4.20"
    CGROUP_SYSCTL = 18, "5.2"
    CGROUP_UDP4_RECVMSG = 19, "5.2"
    CGROUP_UDP6_RECVMSG = 20, "5.2"
    CGROUP_GETSOCKOPT = 21, "5.3"
    CGROUP_SETSOCKOPT = 22, "5.3"
    TRACE_RAW_TP = 23, "5.5"
    TRACE_FENTRY = 24, "5.5"
    TRACE_FEXIT = 25, "5.5"
    MODIFY_RETURN = 26, "5.7"
    LSM_MAC = 27, "5.7"
    TRACE_ITER = 28, "5.8"
    CGROUP_INET4_GETPEERNAME = 29, "5.8"
    CGROUP_INET6_GETPEERNAME = 30, "5.8"
    CGROUP_INET4_GETSOCKNAME = 31, "5.8"
    CGROUP_INET6_GETSOCKNAME = 32, "5.8"
    XDP_DEVMAP = 33, "5.8"
    CGROUP_INET_SOCK_RELEASE = 34, "5.9"
    XDP_CPUMAP = 35, "5.9"
    SK_LOOKUP = 36, "5.9"
    XDP = 37, "5.9"
    SK_SKB_VERDICT = 38, "5.13"
    SK_REUSEPORT_SELECT = 39, "5.14"
    SK_REUSEPORT_SELECT_OR_MIGRATE = 40, "5.14"
    PERF_EVENT = 41, "5.15"
    TRACE_KPROBE_MULTI = 42, "5.18"
    LSM_CGROUP = 43, "6.0"
    STRUCT_OPS = 44, "6.6"
    NETFILTER = 45, "6.4"
    TCX_INGRESS = 46, "6.6"
    TCX_EGRESS = 47, "6.6"
    TRACE_UPROBE_MULTI = 48, "6.6"
    CGROUP_UNIX_CONNECT = 49, "6.7"
    CGROUP_UNIX_SENDMSG = 50, "6.7"
    CGROUP_UNIX_RECVMSG = 51, "6.7"
    CGROUP_UNIX_GETPEERNAME = 52, "6.7"
    CGROUP_UNIX_GETSOCKNAME = 53, "6.7"
    NETKIT_PRIMARY = 54, "6.7"
    NETKIT_PEER = 55, "6.7"
    TRACE_KPROBE_SESSION = 56, "6.10"
    TRACE_UPROBE_SESSION = 57, "6.13"


class LinkType(_Since):
    """Kinds of links: ``enum bpf_link_type``."""

    UNSPEC = 0, "5.7"
    RAW_TRACEPOINT = 1, "5.8"
    TRACING = 2, "5.8"
    CGROUP = 3, "5.8"
    ITER = 4, "5.8"
    NETNS = 5, "5.8"
    XDP = 6, "5.9"
    PERF_EVENT = 7, "5.15"
    KPROBE_MULTI = 8, "5.18"
    STRUCT_OPS = 9, "5.19"
    NETFILTER = 10, "6.4"
    TCX = 11, "6.6"
    UPROBE_MULTI = 12, "6.6"
    NETKIT = 13, "6.7"
    SOCKMAP = 14, "6.10"


class MapFlag(IntFlag):
    """Flags of MAP_CREATE."""

    NO_PREALLOC = 1 << 0  # 4.6
    NO_COMMON_LRU = 1 << 1  # 4.10
    NUMA_NODE = 1 << 2  # 4.14
    RDONLY = 1 << 3  # 4.15
    WRONLY = 1 << 4  # 4.15
    RDONLY_PROG = 1 << 7  # 5.2
    WRONLY_PROG = 1 << 8  # 5.2
    CLONE = 1 << 9  # 5.4
    MMAPABLE = 1 << 10  # 5.5
    PRESERVE_ELEMS = 1 << 11  # 5.10
    INNER_MAP = 1 << 12  # 5.10
    TOKEN_FD = 1 << 16  # 6.9
    SEGV_ON_FAULT = 1 << 17  # 6.9
    NO_USER_CONV = 1 << 18  # 6.9


class UpdateFlag(_Since):
    """Whether an update may create or replace: the flags of MAP_UPDATE_ELEM."""

    ANY = 0, "3.19"
    NOEXIST = 1, "3.19"
    EXIST = 2, "3.19"


class RingFlag(IntFlag):
    """Flags of ``bpf_ringbuf_submit``, ``discard`` and ``output`` (5.8): override when the reader is woken."""

    NO_WAKEUP = 1 << 0
    FORCE_WAKEUP = 1 << 1


class ProgramFlag(IntFlag):
    """Flags of PROG_LOAD."""

    STRICT_ALIGNMENT = 1 << 0  # 4.12
    ANY_ALIGNMENT = 1 << 1  # 5.0
    TEST_RND_HI32 = 1 << 2  # 5.3
    TEST_STATE_FREQ = 1 << 3  # 5.4
    SLEEPABLE = 1 << 4  # 5.10
    XDP_HAS_FRAGS = 1 << 5  # 5.18
    TOKEN_FD = 1 << 16  # 6.9


class LogLevel(IntFlag):
    """What the verifier writes: nothing (0), the path it takes, every state, statistics (5.2)."""

    PATH = 1
    STATES = 2
    STATISTICS = 4


class UprobeMultiFlag(IntFlag):
    """Flags of a uprobe_multi link (6.6)."""

    RETURN = 1 << 0


class PerfType(_Since):
    """``perf_event_attr.type`` of the built-in kinds."""

    HARDWARE = 0, "2.6.32"
    SOFTWARE = 1, "2.6.32"
    TRACEPOINT = 2, "2.6.32"


class PerfSoftware(_Since):
    """``perf_event_attr.config`` of software events, the ones used here."""

    CPU_CLOCK = 0, "2.6.32"
    BPF_OUTPUT = 10, "4.4"


class PerfSample(IntFlag):
    """``perf_event_attr.sample_type``, the ones used here."""

    RAW = 1 << 10


class PerfFlag(IntFlag):
    """The bits of ``perf_event_attr`` between read_format and wakeup_events, the ones used here."""

    DISABLED = 1 << 0
    INHERIT = 1 << 1
    WATERMARK = 1 << 14


class PerfIoctl(IntEnum):
    """ioctl(2) requests of perf events; the same numbers on x86-64 and aarch64."""

    ENABLE = 0x2400  # 2.6.32
    DISABLE = 0x2401  # 2.6.32
    SET_BPF = 0x40042408  # 4.1


class PerfRecord(_Since):
    """``perf_event_header.type``, the ones used here."""

    LOST = 2, "2.6.32"
    SAMPLE = 9, "2.6.32"


OBJECT_NAME_LENGTH = 15
"""Longest name of a map or program, without the terminating zero (BPF_OBJ_NAME_LEN is 16; 4.15)."""

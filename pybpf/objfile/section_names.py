"""What the name of a section says of its programs: the table of libbpf's ``SEC()`` names (libbpf.c, section_defs).

``"kprobe/do_unlinkat"`` is a KPROBE program for that function; ``"?..."`` is not loaded unless asked for; ``".s"``
marks a program that may sleep (5.10).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pybpf.kernel.constants import AttachType, ProgramType


class TargetKind(Enum):
    """What the part behind the slash names when it must be looked up in the kernel's BTF before the load."""

    NONE = ""
    FUNCTION = "function"
    TRACEPOINT = "tracepoint"
    LSM = "LSM hook"
    ITERATOR = "iterator"


@dataclass(frozen=True)
class Hook:
    """Where the programs of a section belong; ``kind`` is its name without target, ``target`` the part behind."""

    kind: str
    type: ProgramType
    attach_type: AttachType = AttachType.NONE
    target: str = ""
    target_kind: TargetKind = TargetKind.NONE
    sleepable: bool = False
    fragments: bool = False
    optional: bool = False


_P, _A = ProgramType, AttachType

_HOOKS: dict[str, tuple[ProgramType, AttachType]] = {
    "socket": (_P.SOCKET_FILTER, _A.NONE),
    "sk_reuseport/migrate": (_P.SK_REUSEPORT, _A.SK_REUSEPORT_SELECT_OR_MIGRATE),
    "sk_reuseport": (_P.SK_REUSEPORT, _A.SK_REUSEPORT_SELECT),
    "kprobe": (_P.KPROBE, _A.NONE),
    "kretprobe": (_P.KPROBE, _A.NONE),
    "uprobe": (_P.KPROBE, _A.NONE),
    "uretprobe": (_P.KPROBE, _A.NONE),
    "ksyscall": (_P.KPROBE, _A.NONE),
    "kretsyscall": (_P.KPROBE, _A.NONE),
    "usdt": (_P.KPROBE, _A.NONE),
    "kprobe.multi": (_P.KPROBE, _A.TRACE_KPROBE_MULTI),
    "kretprobe.multi": (_P.KPROBE, _A.TRACE_KPROBE_MULTI),
    "kprobe.session": (_P.KPROBE, _A.TRACE_KPROBE_SESSION),
    "uprobe.multi": (_P.KPROBE, _A.TRACE_UPROBE_MULTI),
    "uretprobe.multi": (_P.KPROBE, _A.TRACE_UPROBE_MULTI),
    "uprobe.session": (_P.KPROBE, _A.TRACE_UPROBE_SESSION),
    "tc/ingress": (_P.SCHED_CLS, _A.TCX_INGRESS),
    "tc/egress": (_P.SCHED_CLS, _A.TCX_EGRESS),
    "tcx/ingress": (_P.SCHED_CLS, _A.TCX_INGRESS),
    "tcx/egress": (_P.SCHED_CLS, _A.TCX_EGRESS),
    "netkit/primary": (_P.SCHED_CLS, _A.NETKIT_PRIMARY),
    "netkit/peer": (_P.SCHED_CLS, _A.NETKIT_PEER),
    "tc": (_P.SCHED_CLS, _A.NONE),
    "classifier": (_P.SCHED_CLS, _A.NONE),
    "action": (_P.SCHED_ACT, _A.NONE),
    "tracepoint": (_P.TRACEPOINT, _A.NONE),
    "tp": (_P.TRACEPOINT, _A.NONE),
    "raw_tracepoint": (_P.RAW_TRACEPOINT, _A.NONE),
    "raw_tp": (_P.RAW_TRACEPOINT, _A.NONE),
    "raw_tracepoint.w": (_P.RAW_TRACEPOINT_WRITABLE, _A.NONE),
    "raw_tp.w": (_P.RAW_TRACEPOINT_WRITABLE, _A.NONE),
    "tp_btf": (_P.TRACING, _A.TRACE_RAW_TP),
    "fentry": (_P.TRACING, _A.TRACE_FENTRY),
    "fexit": (_P.TRACING, _A.TRACE_FEXIT),
    "fmod_ret": (_P.TRACING, _A.MODIFY_RETURN),
    "iter": (_P.TRACING, _A.TRACE_ITER),
    "freplace": (_P.EXT, _A.NONE),
    "lsm": (_P.LSM, _A.LSM_MAC),
    "lsm_cgroup": (_P.LSM, _A.LSM_CGROUP),
    "syscall": (_P.SYSCALL, _A.NONE),
    "xdp/devmap": (_P.XDP, _A.XDP_DEVMAP),
    "xdp/cpumap": (_P.XDP, _A.XDP_CPUMAP),
    "xdp": (_P.XDP, _A.XDP),
    "perf_event": (_P.PERF_EVENT, _A.NONE),
    "lwt_in": (_P.LWT_IN, _A.NONE),
    "lwt_out": (_P.LWT_OUT, _A.NONE),
    "lwt_xmit": (_P.LWT_XMIT, _A.NONE),
    "lwt_seg6local": (_P.LWT_SEG6LOCAL, _A.NONE),
    "sockops": (_P.SOCK_OPS, _A.CGROUP_SOCK_OPS),
    "sk_skb/stream_parser": (_P.SK_SKB, _A.SK_SKB_STREAM_PARSER),
    "sk_skb/stream_verdict": (_P.SK_SKB, _A.SK_SKB_STREAM_VERDICT),
    "sk_skb/verdict": (_P.SK_SKB, _A.SK_SKB_VERDICT),
    "sk_skb": (_P.SK_SKB, _A.NONE),
    "sk_msg": (_P.SK_MSG, _A.SK_MSG_VERDICT),
    "lirc_mode2": (_P.LIRC_MODE2, _A.LIRC_MODE2),
    "flow_dissector": (_P.FLOW_DISSECTOR, _A.FLOW_DISSECTOR),
    "cgroup_skb/ingress": (_P.CGROUP_SKB, _A.NONE),
    "cgroup_skb/egress": (_P.CGROUP_SKB, _A.CGROUP_INET_EGRESS),
    "cgroup/skb": (_P.CGROUP_SKB, _A.NONE),
    "cgroup/sock_create": (_P.CGROUP_SOCK, _A.CGROUP_INET_SOCK_CREATE),
    "cgroup/sock_release": (_P.CGROUP_SOCK, _A.CGROUP_INET_SOCK_RELEASE),
    "cgroup/sock": (_P.CGROUP_SOCK, _A.CGROUP_INET_SOCK_CREATE),
    "cgroup/post_bind4": (_P.CGROUP_SOCK, _A.CGROUP_INET4_POST_BIND),
    "cgroup/post_bind6": (_P.CGROUP_SOCK, _A.CGROUP_INET6_POST_BIND),
    "cgroup/bind4": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_INET4_BIND),
    "cgroup/bind6": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_INET6_BIND),
    "cgroup/connect4": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_INET4_CONNECT),
    "cgroup/connect6": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_INET6_CONNECT),
    "cgroup/connect_unix": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_UNIX_CONNECT),
    "cgroup/sendmsg4": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_UDP4_SENDMSG),
    "cgroup/sendmsg6": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_UDP6_SENDMSG),
    "cgroup/recvmsg4": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_UDP4_RECVMSG),
    "cgroup/recvmsg6": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_UDP6_RECVMSG),
    "cgroup/getpeername4": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_INET4_GETPEERNAME),
    "cgroup/getpeername6": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_INET6_GETPEERNAME),
    "cgroup/getsockname4": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_INET4_GETSOCKNAME),
    "cgroup/getsockname6": (_P.CGROUP_SOCK_ADDR, _A.CGROUP_INET6_GETSOCKNAME),
    "cgroup/sysctl": (_P.CGROUP_SYSCTL, _A.CGROUP_SYSCTL),
    "cgroup/getsockopt": (_P.CGROUP_SOCKOPT, _A.CGROUP_GETSOCKOPT),
    "cgroup/setsockopt": (_P.CGROUP_SOCKOPT, _A.CGROUP_SETSOCKOPT),
    "cgroup/dev": (_P.CGROUP_DEVICE, _A.CGROUP_DEVICE),
    "sk_lookup": (_P.SK_LOOKUP, _A.SK_LOOKUP),
    "netfilter": (_P.NETFILTER, _A.NETFILTER),
    "struct_ops": (_P.STRUCT_OPS, _A.NONE),
}

_TARGETS = {
    "tp_btf": TargetKind.TRACEPOINT,
    "fentry": TargetKind.FUNCTION,
    "fexit": TargetKind.FUNCTION,
    "fmod_ret": TargetKind.FUNCTION,
    "lsm": TargetKind.LSM,
    "lsm_cgroup": TargetKind.LSM,
    "iter": TargetKind.ITERATOR,
}


def hook_of(section: str) -> Hook | None:
    """What a section's name says; None when no kind of program is called so."""
    optional = section.startswith("?")
    name = section.lstrip("?")
    kind, target = _longest(name)
    if not kind:
        return None
    plain, sleepable, fragments = kind, False, False
    if plain not in _HOOKS:
        plain, _, mark = kind.rpartition(".")
        sleepable, fragments = mark == "s", mark == "frags"
    sleepable = sleepable or plain == "syscall"  # the kernel takes them in no other way
    program_type, attach_type = _HOOKS[plain]
    return Hook(
        plain, program_type, attach_type, target, _TARGETS.get(plain, TargetKind.NONE), sleepable, fragments, optional
    )


def section_kinds() -> tuple[str, ...]:
    """Every kind of section that is known."""
    return tuple(_HOOKS)


def _longest(name: str) -> tuple[str, str]:
    """The longest known kind that ``name`` begins with, and what follows the slash."""
    kind, target = name, ""
    while True:
        plain, _, mark = kind.rpartition(".")
        if kind in _HOOKS or (plain in _HOOKS and mark == "s") or (plain.startswith("xdp") and mark == "frags"):
            return kind, target
        kind, slash, rest = kind.rpartition("/")
        if not slash:
            return "", name
        target = f"{rest}/{target}" if target else rest

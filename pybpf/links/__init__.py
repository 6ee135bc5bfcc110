"""Links: a program attached to a hook, for as long as the link lives. One module for each kind of hook."""

from __future__ import annotations

from pybpf.links.kprobe import attach_kprobe
from pybpf.links.link import Link, LinkKind
from pybpf.links.perf_uprobe import attach_perf_ioctl, attach_perf_link
from pybpf.links.socket_filter import attach_socket_filter
from pybpf.links.tracepoint import attach_raw_tracepoint, attach_tracepoint
from pybpf.links.uprobe import ProbeSide, ProgramLoader, UprobeMethod, attach_uprobe, uprobe_methods
from pybpf.links.uprobe_multi import attach_multi
from pybpf.links.uprobe_session import attach_session

__all__ = [
    "Link",
    "LinkKind",
    "ProbeSide",
    "ProgramLoader",
    "UprobeMethod",
    "attach_kprobe",
    "attach_multi",
    "attach_perf_ioctl",
    "attach_perf_link",
    "attach_raw_tracepoint",
    "attach_session",
    "attach_socket_filter",
    "attach_tracepoint",
    "attach_uprobe",
    "uprobe_methods",
]

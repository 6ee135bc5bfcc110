"""Hooks: where programs run. One module for each kind, one decorator for each side."""

from pybpf.hooks.base import Hook
from pybpf.hooks.kprobe import Kprobe, Kretprobe, kprobe, kretprobe
from pybpf.hooks.socket_filter import SocketFilter, socket_filter
from pybpf.hooks.tracepoint import Tracepoint, tracepoint
from pybpf.hooks.uprobe import (
    Uprobe,
    UprobeSession,
    Uretprobe,
    plan_probes,
    uprobe,
    uprobe_session,
    uretprobe,
)

__all__ = [
    "Hook",
    "Kprobe",
    "Kretprobe",
    "SocketFilter",
    "Tracepoint",
    "Uprobe",
    "UprobeSession",
    "Uretprobe",
    "kprobe",
    "kretprobe",
    "plan_probes",
    "socket_filter",
    "tracepoint",
    "uprobe",
    "uprobe_session",
    "uretprobe",
]

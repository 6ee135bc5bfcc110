"""The language: everything that a module of BPF programs imports.

A program is a Python function that is compiled from its syntax tree when its class is loaded. See
``docs/pybpf/language.md``.
"""

from pybpf.lang.contexts import RawContext, Registers, SkBuff
from pybpf.lang.errors import CompileError
from pybpf.lang.helpers import (
    get_attach_cookie,
    get_current_comm,
    get_current_pid_tgid,
    get_current_uid_gid,
    get_prandom_u32,
    get_smp_processor_id,
    ktime_get_boot_ns,
    ktime_get_ns,
    probe_read,
    probe_read_kernel,
    probe_read_user,
    probe_read_user_str,
    session_is_return,
    skb_load_bytes,
)
from pybpf.lang.intrinsics import after, swap16, swap32, swap64, unroll
from pybpf.lang.surface import Constant
from pybpf.types import (
    Struct,
    array,
    byte_array,
    s8,
    s16,
    s32,
    s64,
    sizeof,
    u8,
    u16,
    u16be,
    u32,
    u32be,
    u64,
    u64be,
)

__all__ = [
    "CompileError",
    "Constant",
    "RawContext",
    "Registers",
    "SkBuff",
    "Struct",
    "after",
    "array",
    "byte_array",
    "get_attach_cookie",
    "get_current_comm",
    "get_current_pid_tgid",
    "get_current_uid_gid",
    "get_prandom_u32",
    "get_smp_processor_id",
    "ktime_get_boot_ns",
    "ktime_get_ns",
    "probe_read",
    "probe_read_kernel",
    "probe_read_user",
    "probe_read_user_str",
    "s16",
    "s32",
    "s64",
    "s8",
    "session_is_return",
    "sizeof",
    "skb_load_bytes",
    "swap16",
    "swap32",
    "swap64",
    "u16",
    "u16be",
    "u32",
    "u32be",
    "u64",
    "u64be",
    "u8",
    "unroll",
]

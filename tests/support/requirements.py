"""What a test may need of the machine, each with the reason a person reads when it is missing.

A test says ``@pytest.mark.needs("root", "bpftool")``; it is skipped with the first missing thing's reason.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

# bpf(2): 321 on x86-64, 280 in the generic table (aarch64). Asked here without pybpf, whose tests this guards.
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}


def missing(name: str) -> str | None:
    """Return why ``name`` is not available here, or None if it is. KeyError for a name nobody knows."""
    return CHECKS[name]()


def _root() -> str | None:
    return None if os.geteuid() == 0 else "needs root"


def _bpf() -> str | None:
    number = BPF_SYSCALL.get(platform.machine())
    if number is None:
        return f"needs bpf(2); its number on {platform.machine()} is not known here"
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(128)
    # BPF_MAP_GET_NEXT_ID (12) from the largest start it takes (INT_MAX - 1): ENOENT from a kernel that lets us in.
    ctypes.memmove(attributes, b"\xfe\xff\xff\x7f", 4)
    libc.syscall(number, 12, attributes, 128)
    code = ctypes.get_errno()
    if code in (0, errno.ENOENT):
        return None
    if code == errno.ENOSYS:
        return "needs a kernel with bpf(2)"
    return f"needs permission for bpf(2): {os.strerror(code)} (a container without CAP_BPF or CAP_SYS_ADMIN?)"


def _netns() -> str | None:
    from tests.support.netns import NetworkNamespace

    if reason := _root():
        return reason
    try:
        NetworkNamespace().close()
    except OSError as error:
        return f"needs network namespaces: {error.strerror} (a container without CAP_SYS_ADMIN?)"
    return None


def _uprobes() -> str | None:
    if Path("/sys/bus/event_source/devices/uprobe/type").exists():
        return None
    return "needs uprobes (CONFIG_UPROBE_EVENTS): /sys/bus/event_source/devices/uprobe is not here"


def _kprobes() -> str | None:
    if Path("/sys/bus/event_source/devices/kprobe/type").exists():
        return None
    return "needs kprobes (CONFIG_KPROBE_EVENTS): /sys/bus/event_source/devices/kprobe is not here"


def _tracefs() -> str | None:
    if Path("/sys/kernel/tracing/events").is_dir():
        return None
    return "needs tracefs: mount -t tracefs tracefs /sys/kernel/tracing"


def _btf() -> str | None:
    return None if Path("/sys/kernel/btf/vmlinux").exists() else "needs kernel BTF (CONFIG_DEBUG_INFO_BTF)"


def _epics() -> str | None:
    return None if importlib.util.find_spec("epicscorelibs") else "needs epicscorelibs: pip install epicsmon[demo]"


def _zipkin() -> str | None:
    from tests.support.zipkin import ZipkinFailed, server_jar

    if reason := _program("java", "default-jre-headless")():
        return reason
    try:
        server_jar()
    except (ZipkinFailed, OSError) as error:
        return f"needs the Zipkin server of Maven Central: {str(error).strip()[-300:]}"
    return None


def _program(name: str, package: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else f"needs {name}: apt-get install {package}"


CHECKS: dict[str, Callable[[], str | None]] = {
    "root": _root,
    "bpf": _bpf,
    "netns": _netns,
    "uprobes": _uprobes,
    "kprobes": _kprobes,
    "tracefs": _tracefs,
    "btf": _btf,
    "epics": _epics,
    "zipkin": _zipkin,
    "bpftool": _program("bpftool", "bpftool"),
    "objdump": _program("objdump", "binutils"),
    "gcc": _program("gcc", "gcc"),
    "clang": _program("clang", "clang"),
    "jq": _program("jq", "jq"),
}

"""Attaching a program where the name of its section says."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from pybpf.elf import ElfImage, plan_probe
from pybpf.errors import UnsupportedFeature
from pybpf.kernel.constants import ProgramType
from pybpf.kernel.link_ops import raw_tracepoint_open
from pybpf.links import Link, ProbeSide, UprobeMethod, attach_uprobe
from pybpf.links.kprobe import attach_kprobe
from pybpf.links.link import LinkKind
from pybpf.links.socket_filter import attach_socket_filter
from pybpf.links.tracepoint import attach_raw_tracepoint, attach_tracepoint
from pybpf.objfile.errors import ObjectError

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd
    from pybpf.objfile.section_names import Hook

_RAW_TYPES = (ProgramType.RAW_TRACEPOINT, ProgramType.RAW_TRACEPOINT_WRITABLE)
_TRACING_KINDS = ("tp_btf", "fentry", "fexit", "fmod_ret", "lsm")


def attach_program(
    fd: OwnedFd,
    hook: Hook,
    name: str,
    target: str | os.PathLike[str] | socket.socket | None = None,
    *,
    pid: int | None = None,
    cookie: int = 0,
) -> Link:
    """Attach a program; ``target`` takes the place of what the section names.

    Raises:
        ObjectError: programs of this kind are attached by other means, or no target is known.
        KernelError, PermissionDenied, UnsupportedFeature, SymbolNotFound: it did not work.
    """
    if hook.type is ProgramType.SOCKET_FILTER and isinstance(target, socket.socket):
        return attach_socket_filter(fd, target)
    if hook.kind in _TRACING_KINDS:
        # what it attaches to was fixed when it was loaded; the kernel takes no name here
        return _tracing_link(fd, hook, cookie)
    place = hook.target if target is None else os.fspath(target) if not isinstance(target, socket.socket) else ""
    if not place:
        raise ObjectError(name, hook.kind, "says nothing of where to attach it; give a target")
    if hook.type in _RAW_TYPES:
        return attach_raw_tracepoint(fd, place, cookie=cookie)
    if hook.type is ProgramType.TRACEPOINT:
        group, _, event = place.replace(":", "/").partition("/")
        return attach_tracepoint(fd, group, event, cookie=cookie, pid=pid)
    if hook.kind in ("kprobe", "kretprobe"):
        function, _, offset = place.partition("+")
        return attach_kprobe(
            fd, function, offset=int(offset, 0) if offset else 0, returns=hook.kind == "kretprobe", cookie=cookie
        )
    method = _UPROBES.get(hook.kind)
    if method is None:
        raise ObjectError(name, hook.kind, "programs of this kind are attached by other means; use their descriptor")
    return _attach_uprobe(fd, name, hook, method, place, pid, cookie)


_UPROBES: dict[str, tuple[UprobeMethod | None, ProbeSide]] = {
    "uprobe": (None, ProbeSide.ENTRY),
    "uretprobe": (None, ProbeSide.RETURN),
    "uprobe.multi": (UprobeMethod.MULTI, ProbeSide.ENTRY),
    "uretprobe.multi": (UprobeMethod.MULTI, ProbeSide.RETURN),
    "uprobe.session": (UprobeMethod.SESSION, ProbeSide.BOTH),
}


def _attach_uprobe(
    fd: OwnedFd,
    name: str,
    hook: Hook,
    method: tuple[UprobeMethod | None, ProbeSide],
    place: str,
    pid: int | None,
    cookie: int,
) -> Link:
    path, colon, symbol = place.rpartition(":")
    if not colon or not symbol:
        raise ObjectError(name, hook.kind, f"{place!r} is no PATH:FUNCTION")
    forced, side = method
    with ElfImage.open(path) as image:
        site = plan_probe(image, symbol, needs_return=side is not ProbeSide.ENTRY)
    # a program for perf events is the same, whichever of the two ways the event is tied to it
    for way in (forced,) if forced else (UprobeMethod.PERF_LINK, UprobeMethod.PERF_IOCTL):
        last = way is not UprobeMethod.PERF_LINK or bool(cookie)
        try:
            return attach_uprobe(
                lambda *_: fd, path, [site.offset], side=side, cookies=[cookie] if cookie else None, pid=pid, force=way
            )
        except UnsupportedFeature:
            if last:
                raise
    raise AssertionError("unreachable")


def _tracing_link(fd: OwnedFd, hook: Hook, cookie: int) -> Link:
    return Link(
        LinkKind.RAW_TRACEPOINT,
        f"{fd.what} at {hook.kind}/{hook.target}",
        (raw_tracepoint_open(fd, "", cookie=cookie),),
    )

"""What the kernel says of its objects: OBJ_GET_INFO_BY_FD and the walks over ids (4.13)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import Command
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.syscall import address, bpf, bpf_raw, error_of

_ID_CAPABILITY = "CAP_SYS_ADMIN"


@dataclass(frozen=True)
class ProgramInfo:
    """A loaded program. Times in ns, counted only while kernel.bpf_stats_enabled is 1 (5.1)."""

    id: int
    type: int
    name: str
    tag: str
    load_time_ns: int
    run_time_ns: int
    run_count: int
    recursion_misses: int
    verified_instructions: int
    translated: bytes
    jitted_size: int
    map_ids: tuple[int, ...]
    btf_id: int


@dataclass(frozen=True)
class MapInfo:
    """A map, sizes in bytes."""

    id: int
    type: int
    name: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    btf_id: int
    btf_key_type_id: int
    btf_value_type_id: int
    extra: int = 0


@dataclass(frozen=True)
class LinkInfo:
    """A link; ``type`` is a :class:`~pybpf.kernel.constants.LinkType`."""

    id: int
    type: int
    program_id: int


@dataclass(frozen=True)
class UprobeMultiInfo:
    """A uprobe_multi or session link (6.8): its file, sites as file offsets, a cookie each, the process or None."""

    link: LinkInfo
    path: str
    offsets: tuple[int, ...]
    cookies: tuple[int, ...]
    flags: int
    pid: int | None


def program_info(prog: OwnedFd, *, translated: bool = False) -> ProgramInfo:
    """What is known of a program; ``translated`` also fetches its instructions as the verifier left them."""
    info = ffi.new("struct prog_info *")
    _get_info(prog, info)
    map_ids = ffi.new("uint32_t[]", max(1, info.nr_map_ids))
    instructions = bytearray(info.xlated_prog_len if translated else 0)
    keep = ffi.from_buffer(instructions)
    wanted = ffi.new("struct prog_info *")
    wanted.nr_map_ids, wanted.map_ids = info.nr_map_ids, address(map_ids)
    if instructions:
        wanted.xlated_prog_len, wanted.xlated_prog_insns = len(instructions), address(keep)
    _get_info(prog, wanted)
    return ProgramInfo(
        id=wanted.id,
        type=wanted.type,
        name=_text(wanted.name),
        tag=bytes(wanted.tag).hex(),
        load_time_ns=wanted.load_time,
        run_time_ns=wanted.run_time_ns,
        run_count=wanted.run_cnt,
        recursion_misses=wanted.recursion_misses,
        verified_instructions=wanted.verified_insns,
        translated=bytes(instructions),
        jitted_size=info.jited_prog_len,
        map_ids=tuple(map_ids[i] for i in range(min(info.nr_map_ids, wanted.nr_map_ids))),
        btf_id=wanted.btf_id,
    )


def map_info(fd: OwnedFd) -> MapInfo:
    """What is known of a map."""
    info = ffi.new("struct map_info *")
    _get_info(fd, info)
    return MapInfo(
        id=info.id,
        type=info.type,
        name=_text(info.name),
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries,
        flags=info.map_flags,
        btf_id=info.btf_id,
        btf_key_type_id=info.btf_key_type_id,
        btf_value_type_id=info.btf_value_type_id,
        extra=info.map_extra,
    )


def link_info(link: OwnedFd) -> LinkInfo:
    """What is known of a link (5.8)."""
    info = ffi.new("struct link_info *")
    _get_info(link, info)
    return LinkInfo(id=info.id, type=info.type, program_id=info.prog_id)


def uprobe_multi_info(link: OwnedFd) -> UprobeMultiInfo:
    """The sites of a uprobe_multi link (6.8)."""
    info = ffi.new("struct link_info_uprobe_multi *")
    _get_info(link, info)
    count, path_size = info.count, max(1, info.path_size)
    path, offsets, cookies = ffi.new("char[]", path_size), *(ffi.new("uint64_t[]", max(1, count)) for _ in range(2))
    wanted = ffi.new("struct link_info_uprobe_multi *")
    wanted.path, wanted.path_size = address(path), path_size
    wanted.offsets, wanted.cookies, wanted.count = address(offsets), address(cookies), count
    _get_info(link, wanted)
    return UprobeMultiInfo(
        link=LinkInfo(id=wanted.id, type=wanted.type, program_id=wanted.prog_id),
        path=ffi.string(path).decode("utf-8", "surrogateescape"),
        offsets=tuple(offsets[i] for i in range(count)),
        cookies=tuple(cookies[i] for i in range(count)),
        flags=wanted.flags,
        pid=wanted.pid or None,
    )


def program_ids() -> Iterator[int]:
    """The ids of all programs of the machine; needs CAP_SYS_ADMIN."""
    return _ids(Command.PROG_GET_NEXT_ID)


def map_ids() -> Iterator[int]:
    """The ids of all maps of the machine; needs CAP_SYS_ADMIN."""
    return _ids(Command.MAP_GET_NEXT_ID)


def link_ids() -> Iterator[int]:
    """The ids of all links of the machine (5.8); needs CAP_SYS_ADMIN."""
    return _ids(Command.LINK_GET_NEXT_ID)


def program_by_id(identifier: int) -> OwnedFd:
    """A descriptor of a program of the machine; KernelError ENOENT when it has gone."""
    return _by_id(Command.PROG_GET_FD_BY_ID, identifier, "program")


def map_by_id(identifier: int) -> OwnedFd:
    """A descriptor of a map of the machine; KernelError ENOENT when it has gone."""
    return _by_id(Command.MAP_GET_FD_BY_ID, identifier, "map")


def link_by_id(identifier: int) -> OwnedFd:
    """A descriptor of a link of the machine (5.8); KernelError ENOENT when it has gone."""
    return _by_id(Command.LINK_GET_FD_BY_ID, identifier, "link")


def _by_id(command: Command, identifier: int, kind: str) -> OwnedFd:
    attr = ffi.new("struct get_fd_by_id *")
    attr.id = identifier
    what = f"{kind} {identifier}"
    return OwnedFd(bpf(command, attr, f"open {what}", _ID_CAPABILITY), what)


def _ids(command: Command) -> Iterator[int]:
    attr = ffi.new("struct get_fd_by_id *")
    while True:
        result = bpf_raw(command, attr)
        if result == -errno.ENOENT:
            return
        if result < 0:
            raise error_of("list BPF objects", -result, _ID_CAPABILITY)
        attr.id = attr.next_id
        yield int(attr.next_id)


def _get_info(fd: OwnedFd, info: Any) -> None:
    attr = ffi.new("struct obj_get_info *")
    attr.bpf_fd = fd.fileno()
    attr.info_len = ffi.sizeof(info[0])
    attr.info = address(info)
    bpf(Command.OBJ_GET_INFO_BY_FD, attr, f"get information on {fd.what}")


def _text(cdata: Any) -> str:
    return ffi.string(cdata).decode("ascii", "replace")

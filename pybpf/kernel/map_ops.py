"""The commands of bpf(2) on maps: keys and values are bytes here; :mod:`pybpf.maps` gives them types."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from pybpf.errors import KernelError
from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import Command, MapFlag, MapType, UpdateFlag
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.memlock import with_memlock
from pybpf.kernel.syscall import BPF_CAPABILITY, address, bpf, bpf_raw, error_of, object_name


def map_create(
    map_type: MapType,
    key_size: int,
    value_size: int,
    max_entries: int,
    *,
    flags: MapFlag | int = 0,
    name: str = "",
    btf_fd: OwnedFd | None = None,
    btf_key_type_id: int = 0,
    btf_value_type_id: int = 0,
    map_extra: int = 0,
    inner_map: OwnedFd | None = None,
    token: OwnedFd | None = None,
) -> OwnedFd:
    """Create a map; sizes in bytes.

    RINGBUF takes ``max_entries`` as its size in bytes, a power of two and a multiple of the page. Names are kept to
    what the kernel accepts. Raises :class:`KernelError`: EINVAL for a kind or flag the kernel does not know, E2BIG for
    sizes beyond its limits. ``map_extra`` is what the kind makes of it (5.16), ``inner_map`` the pattern of the maps
    in a map of maps (4.12); a BPF ``token`` stands in for capabilities (6.9).
    """
    attr = ffi.new("struct map_create *")
    attr.map_type = map_type
    attr.key_size = key_size
    attr.value_size = value_size
    attr.max_entries = max_entries
    attr.map_flags = flags
    attr.map_name = object_name(name)
    attr.map_extra = map_extra
    if token is not None:
        attr.map_token_fd = token.fileno()
        attr.map_flags |= MapFlag.TOKEN_FD
    if inner_map is not None:
        attr.inner_map_fd = inner_map.fileno()
    if btf_fd is not None:
        attr.btf_fd = btf_fd.fileno()
        attr.btf_key_type_id = btf_key_type_id
        attr.btf_value_type_id = btf_value_type_id
    what = f"map {name}" if name else f"{map_type.name} map"
    result = with_memlock(lambda: bpf_raw(Command.MAP_CREATE, attr))
    if result < 0:
        hint = ""
        if -result == errno.EINVAL:
            hint = f"{map_type.name} maps came with Linux {map_type.since}; or its sizes or flags do not fit together"
        raise error_of(f"create {what}", -result, BPF_CAPABILITY, hint)
    return OwnedFd(result, what)


def map_lookup(fd: OwnedFd, key: bytes, value_size: int) -> bytes | None:
    """The value at ``key``, or None; for per-CPU maps ``value_size`` covers all possible CPUs, each rounded up to 8."""
    value = bytearray(value_size)
    result = _element(Command.MAP_LOOKUP_ELEM, fd, key, value, 0)
    if result == -errno.ENOENT:
        return None
    _check(result, "look up in", fd)
    return bytes(value)


def map_lookup_and_delete(fd: OwnedFd, key: bytes, value_size: int) -> bytes | None:
    """Take the value at ``key`` out of a hash map in one step, or None (hash maps: 5.14)."""
    value = bytearray(value_size)
    result = _element(Command.MAP_LOOKUP_AND_DELETE_ELEM, fd, key, value, 0)
    if result == -errno.ENOENT:
        return None
    _check(result, "take from", fd)
    return bytes(value)


def map_update(fd: OwnedFd, key: bytes, value: bytes, flags: UpdateFlag = UpdateFlag.ANY) -> None:
    """Store ``value``; KernelError EEXIST with NOEXIST, ENOENT with EXIST, E2BIG when the map is full."""
    _check(_element(Command.MAP_UPDATE_ELEM, fd, key, value, flags), "update", fd)


def map_delete(fd: OwnedFd, key: bytes) -> bool:
    """Delete the element; False when there was none."""
    result = _element(Command.MAP_DELETE_ELEM, fd, key, None, 0)
    if result == -errno.ENOENT:
        return False
    _check(result, "delete from", fd)
    return True


def map_next_key(fd: OwnedFd, key: bytes | None, key_size: int) -> bytes | None:
    """The key after ``key`` (None: the first), or None at the end; the first again when ``key`` has gone."""
    following = bytearray(key_size)
    result = _element(Command.MAP_GET_NEXT_KEY, fd, key, following, 0)
    if result == -errno.ENOENT:
        return None
    _check(result, "walk", fd)
    return bytes(following)


def map_keys(fd: OwnedFd, key_size: int, limit: int) -> Iterator[bytes]:
    """Walk the keys, ``limit`` at most.

    A key deleted during the walk sends the kernel back to the start; ``limit`` (twice the size of the map will do)
    keeps such a walk finite.
    """
    key = map_next_key(fd, None, key_size)
    while key is not None and limit > 0:
        following = map_next_key(fd, key, key_size)
        yield key
        key = following
        limit -= 1


def map_batch(
    fd: OwnedFd, key_size: int, value_size: int, limit: int, *, take: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """The elements as (key, value) in batches, ``limit`` at most; ``take`` deletes each as it reads it (5.6).

    KernelError with EINVAL (before 5.6) or ENOTSUPP (a kind of map without batches) comes before the first element.
    """
    command = Command.MAP_LOOKUP_AND_DELETE_BATCH if take else Command.MAP_LOOKUP_BATCH
    room = max(1, min(limit, _BATCH_BYTES // (key_size + value_size)))
    token, following = bytearray(max(4, key_size)), bytearray(max(4, key_size))
    token_buffer, following_buffer = ffi.from_buffer(token), ffi.from_buffer(following)
    attr = ffi.new("struct map_batch *")
    attr.map_fd = fd.fileno()
    attr.out_batch = address(following_buffer)
    while limit > 0:
        keys, values = bytearray(room * key_size), bytearray(room * value_size)
        keep = ffi.from_buffer(keys), ffi.from_buffer(values)
        attr.keys, attr.values, attr.count = address(keep[0]), address(keep[1]), room
        result = bpf_raw(command, attr)
        if result == -errno.ENOSPC:
            room *= 2  # one bucket of the hash holds more than a batch
            continue
        if result != -errno.ENOENT:
            _check(result, "take from" if take else "walk", fd)
        count = min(attr.count, limit)
        for i in range(count):
            yield (
                bytes(keys[i * key_size : (i + 1) * key_size]),
                bytes(values[i * value_size : (i + 1) * value_size]),
            )
        limit -= count
        if result == -errno.ENOENT:
            return
        token[:] = following
        attr.in_batch = address(token_buffer)


_BATCH_BYTES = 1 << 18


def map_pairs(fd: OwnedFd, key_size: int, value_size: int, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """The elements as (key, value): in batches, or key by key on kernels and kinds of maps without batches."""
    batches = map_batch(fd, key_size, value_size, limit)
    try:
        first = next(batches, None)
    except KernelError as error:
        if error.errno not in NO_BATCHES:
            raise
        for key in map_keys(fd, key_size, limit):
            value = map_lookup(fd, key, value_size)
            if value is not None:
                yield key, value
        return
    if first is not None:
        yield first
        yield from batches


NO_BATCHES = (errno.EINVAL, errno.EOPNOTSUPP, 524)
"""How kernels say that they, or this kind of map, know no batches; 524 is the kernel's own ENOTSUPP."""


def map_contains(fd: OwnedFd, value: bytes) -> bool:
    """Whether a bloom filter may hold ``value`` (5.16): it has no keys, and the value goes in where others come out."""
    result = _element(Command.MAP_LOOKUP_ELEM, fd, None, bytearray(value), 0)
    if result != -errno.ENOENT:
        _check(result, "look up in", fd)
    return result >= 0


def map_freeze(fd: OwnedFd) -> None:
    """Make the map read-only for user space, for ever (5.2)."""
    attr = ffi.new("struct map_elem *")
    attr.map_fd = fd.fileno()
    bpf(Command.MAP_FREEZE, attr, f"freeze {fd.what}")


def _element(command: Command, fd: OwnedFd, key: bytes | None, value: bytes | bytearray | None, flags: int) -> int:
    # Kinds without keys want no pointer at all.
    key_buffer = ffi.from_buffer(key) if key else ffi.NULL
    value_buffer = ffi.from_buffer(value) if value is not None else ffi.NULL
    attr = ffi.new("struct map_elem *")
    attr.map_fd = fd.fileno()
    attr.key = address(key_buffer)
    attr.value = address(value_buffer)
    attr.flags = flags
    return bpf_raw(command, attr)


def _check(result: int, verb: str, fd: OwnedFd) -> None:
    if result < 0:
        hints = {errno.E2BIG: "the map is full", errno.EPERM: "the map is frozen, or this descriptor of it is one-way"}
        hint = hints.get(-result, "")
        raise error_of(f"{verb} {fd.what}", -result, BPF_CAPABILITY, hint)

"""Many elements stored or deleted by one call (5.6), or one by one where there are no batches."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import Command, UpdateFlag
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.map_ops import NO_BATCHES, map_delete, map_update
from pybpf.kernel.syscall import BPF_CAPABILITY, address, bpf_raw, error_of


def map_update_batch(fd: OwnedFd, pairs: Sequence[tuple[bytes, bytes]], flags: UpdateFlag = UpdateFlag.ANY) -> None:
    """Store all elements, given as (key, value). When one is refused, those before it stay stored."""
    if not pairs:
        return
    keys, values = b"".join(key for key, _ in pairs), b"".join(value for _, value in pairs)
    result, _ = _batch(Command.MAP_UPDATE_BATCH, fd, len(pairs), keys, values, flags)
    if -result in NO_BATCHES:
        for key, value in pairs:
            map_update(fd, key, value, flags)
    elif result < 0:
        hint = "the map is full" if -result == errno.E2BIG else ""
        raise error_of(f"update {fd.what}", -result, BPF_CAPABILITY, hint)


def map_delete_batch(fd: OwnedFd, keys: Sequence[bytes]) -> int:
    """Delete the elements; how many of them there were."""
    deleted, rest = 0, list(keys)
    while rest:
        result, count = _batch(Command.MAP_DELETE_BATCH, fd, len(rest), b"".join(rest), None, UpdateFlag.ANY)
        if -result in NO_BATCHES:
            return deleted + sum(map_delete(fd, key) for key in rest)
        if result < 0 and -result != errno.ENOENT:
            raise error_of(f"delete from {fd.what}", -result, BPF_CAPABILITY)
        # The kernel stops at the first key without an element: go on behind it.
        deleted += count
        rest = rest[count + 1 :] if result < 0 else []
    return deleted


def _batch(
    command: Command, fd: OwnedFd, count: int, keys: bytes, values: bytes | None, flags: UpdateFlag
) -> tuple[int, int]:
    """The result, and how many elements the kernel got through."""
    keep = ffi.from_buffer(keys), ffi.from_buffer(values if values is not None else b"")
    attr = ffi.new("struct map_batch *")
    attr.map_fd, attr.count, attr.elem_flags = fd.fileno(), count, flags
    attr.keys = address(keep[0])
    attr.values = address(keep[1]) if values is not None else 0
    return bpf_raw(command, attr), int(attr.count)

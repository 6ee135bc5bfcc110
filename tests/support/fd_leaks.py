"""Which descriptors a test left open: nothing that a test opens may outlive it."""

from __future__ import annotations

import gc
import os


def open_descriptors() -> dict[int, str]:
    """Return what each open descriptor of this process points to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            # A file that somebody else deletes meanwhile is the same file.
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}").removesuffix(" (deleted)")
        except FileNotFoundError:
            continue  # the descriptor of this very listing
    return found


def leaked_since(before: dict[int, str]) -> dict[int, str]:
    """Return the descriptors that were not open, or pointed elsewhere, at ``before``."""
    leaked = _new(before)
    if leaked:
        gc.collect()  # a cycle that has not been collected yet is not a leak
        leaked = _new(before)
    return leaked


def _new(before: dict[int, str]) -> dict[int, str]:
    # Python and its libraries keep one /dev/urandom or /dev/null open for good.
    return {
        fd: what
        for fd, what in open_descriptors().items()
        if before.get(fd) != what and what not in ("/dev/urandom", "/dev/null")
    }

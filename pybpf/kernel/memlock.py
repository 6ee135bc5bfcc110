"""RLIMIT_MEMLOCK: before Linux 5.11 maps and programs count against it, and the usual 64 KiB are soon gone.

Kernels from 5.11 charge the memory cgroup instead (commit 97306be45fbe). Which of the two holds is found by trying:
on EPERM the limit goes up and the call is made once more; when that did not help, the limit goes back.
"""

from __future__ import annotations

import errno
import resource
from typing import Callable


def with_memlock(call: Callable[[], int]) -> int:
    """Run ``call`` (a result, or a negative error number), with a higher limit when it first gives EPERM."""
    result = call()
    if result != -errno.EPERM:
        return result
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if not _raise_limit(before):
        return result
    again = call()
    if again == -errno.EPERM:
        # Lowering the hard limit is always allowed, so this restores both.
        resource.setrlimit(resource.RLIMIT_MEMLOCK, before)
    return again


def _raise_limit(before: tuple[int, int]) -> bool:
    soft, hard = before
    if soft == resource.RLIM_INFINITY:
        return False
    for wanted in ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), (hard, hard)):
        if wanted == before:
            continue
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, wanted)
        except (ValueError, OSError):
            continue  # without CAP_SYS_RESOURCE only the soft limit may move
        return True
    return False

"""The machine's processors, as the kernel numbers them."""

from __future__ import annotations

import functools
from pathlib import Path

_SYSFS = Path("/sys/devices/system/cpu")


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """``0-3,8`` as (0, 1, 2, 3, 8); ValueError for anything else (Documentation/admin-guide/cputopology.rst)."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            cpus.extend(range(int(first), int(last or first) + 1))
    return tuple(cpus)


@functools.cache
def possible_cpus() -> tuple[int, ...]:
    """The CPUs that could ever be there: a per-CPU map holds a value for each of them. Fixed at boot."""
    return parse_cpu_list((_SYSFS / "possible").read_text(encoding="ascii"))


def online_cpus() -> tuple[int, ...]:
    """The CPUs that run now."""
    return parse_cpu_list((_SYSFS / "online").read_text(encoding="ascii"))

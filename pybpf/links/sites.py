"""The places of a uprobe: offsets of one file, a cookie for each, one process or all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class UprobeSites:
    """Where to probe. Probes belong to the file's inode, whatever path leads to it.

    ``offsets`` are file offsets in bytes (:attr:`pybpf.elf.ProbeSite.offset`); ``cookies`` are empty, or one number of
    64 bits for each offset, which the program reads with bpf_get_attach_cookie (5.15). ``pid`` restricts the probe to
    one process, all of its threads.

    Raises:
        ValueError: no offsets, an offset twice, cookies that do not match them, a pid below 1.
    """

    path: str
    offsets: tuple[int, ...]
    cookies: tuple[int, ...] = ()
    pid: int | None = None

    def __post_init__(self) -> None:
        if not self.offsets:
            raise ValueError("a uprobe needs at least one offset")
        if len(set(self.offsets)) != len(self.offsets):
            raise ValueError(f"an offset appears twice in {list(self.offsets)}")
        if self.cookies and len(self.cookies) != len(self.offsets):
            raise ValueError(f"{len(self.cookies)} cookies for {len(self.offsets)} offsets")
        if self.pid is not None and self.pid < 1:
            raise ValueError(f"pid {self.pid} is no process; None means every process")

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        offsets: Sequence[int],
        cookies: Sequence[int] | None = None,
        pid: int | None = None,
    ) -> UprobeSites:
        """The same from any sequences and paths."""
        return cls(os.fspath(path), tuple(offsets), tuple(cookies or ()), pid)

    @property
    def needs_cookies(self) -> bool:
        """Whether the program would see anything but zeros."""
        return any(self.cookies)

    def __str__(self) -> str:
        count = f"{len(self.offsets)} site{'s' if len(self.offsets) > 1 else ''}"
        where = "every process" if self.pid is None else f"process {self.pid}"
        return f"{count} of {self.path} in {where}"

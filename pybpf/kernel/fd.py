"""File descriptors with one owner."""

from __future__ import annotations

import os
import warnings
from types import TracebackType
from typing import TYPE_CHECKING

from pybpf.errors import PybpfError

if TYPE_CHECKING:
    from typing_extensions import Self


class FdClosed(PybpfError):
    """A descriptor was used after its owner closed it; ``what`` names the object."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)

    def __str__(self) -> str:
        return f"{self.what} is closed"


class OwnedFd:
    """A file descriptor that belongs to this object: closed by ``close()``, by ``with``, and at the latest with it.

    ``what`` says in words what it refers to (``map calls``), for messages. An owner that is forgotten open gives
    a ``ResourceWarning``, as files do.
    """

    __slots__ = ("_fd", "what", "__weakref__")

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self.what = what

    def fileno(self) -> int:
        """The number; raises :class:`FdClosed` after ``close()``."""
        if self._fd < 0:
            raise FdClosed(self.what)
        return self._fd

    @property
    def closed(self) -> bool:
        """True when ``close()`` or ``detach()`` has run."""
        return self._fd < 0

    def close(self) -> None:
        """Close it; a second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def detach(self) -> int:
        """Give the ownership away: the number, which the caller must close."""
        fd = self.fileno()
        self._fd = -1
        return fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # __init__ may not have run to its end.
        if getattr(self, "_fd", -1) >= 0:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"fd={self._fd}"
        return f"<OwnedFd {self.what!r} {state}>"

"""Opening and reading an image file without being harmed by it."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass

from pybpf.errors import ImageError


@dataclass(frozen=True)
class FileIdentity:
    """What probes attach to: a device number and an inode, whatever the path."""

    device: int
    inode: int


class PositionedFile(io.RawIOBase):
    """A read-only file with a position of its own over a descriptor it owns.

    It reads with pread, so a descriptor shared with others keeps its offset. It is not mmap'ed on purpose: a library
    that is overwritten while mapped kills the reader with SIGBUS.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._position = 0
        self.status = os.fstat(fd)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The number of the owned descriptor."""
        return self._fd

    def tell(self) -> int:
        """The position of the next read, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position of the next read; it may lie behind the end, where reads give nothing."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.status.st_size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative file position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any writable buffer arrives as one
        """Read at the position into ``buffer``; the number of bytes, 0 at the end."""
        if self._position >= self.status.st_size:
            return 0
        count = os.preadv(self._fd, [buffer], self._position)
        self._position += count
        return count

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if not self.closed:
            os.close(self._fd)
        super().close()


def open_image_file(path: str) -> PositionedFile:
    """Open a regular file for reading.

    Raises:
        ImageError: it cannot be opened, or is a directory, a FIFO or a device.
    """
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes would wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise ImageError(path, reason) from None
    return _checked(fd, path)


def duplicate_image_file(fd: int, name: str) -> PositionedFile:
    """The same for an open descriptor, which stays the caller's; ``name`` stands for it in messages."""
    try:
        return _checked(os.dup(fd), name)
    except OSError as error:
        raise ImageError(name, os.strerror(error.errno or 0)) from None


def _checked(fd: int, name: str) -> PositionedFile:
    file = PositionedFile(fd)
    if stat.S_ISREG(file.status.st_mode):
        return file
    file.close()
    raise ImageError(name, "not a regular file")

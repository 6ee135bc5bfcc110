"""BPF_MAP_TYPE_ARENA (Linux 6.9): up to 4 GiB of memory that programs and Python share, pointers included."""

from __future__ import annotations

import contextlib
import mmap

from pybpf.kernel._ffi import ffi
from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.fd import FdClosed
from pybpf.kernel.syscall import address, error_of
from pybpf.maps.base import Map

_MOST_PAGES = (1 << 32) // 4096


class Arena(Map):
    """``pages`` pages of shared memory, given out when they are touched from Python or allocated by a program.

    A pointer that one side stores is good on the other: programs keep addresses of user space and translate them as
    they use them (``addr_space_cast``). With MapFlag.SEGV_ON_FAULT touching a page that no program allocated is a
    segmentation fault here, instead of a new page. x86-64 and aarch64 (6.10).
    """

    map_type = MapType.ARENA
    needed_flags = MapFlag.MMAPABLE

    def __init__(self, pages: int, *, flags: MapFlag | int = 0, name: str = "") -> None:
        if not 1 <= pages <= _MOST_PAGES:
            raise ValueError(f"an arena has 1 to {_MOST_PAGES} pages, not {pages}")
        super().__init__(key=None, value=None, max_entries=pages, flags=flags, name=name)
        self._mapping: mmap.mmap | None = None
        self._memory: memoryview | None = None

    @property
    def memory(self) -> memoryview:
        """All of a live arena's memory; released by ``close()``."""
        self._need("memory")
        if self._memory is None:
            raise FdClosed(self._label())
        return self._memory

    @property
    def address(self) -> int:
        """Where ``memory`` begins in this process: what pointers inside of the arena count from."""
        return address(ffi.from_buffer(self.memory))

    def offset_of(self, pointer: int) -> int:
        """Where in ``memory`` a pointer from the arena points.

        Raises:
            ValueError: it points out of the arena.
        """
        # Programs may have only the lower half at hand: the kernel keeps an arena within one window of 4 GiB.
        offset = (pointer - self.address) & 0xFFFFFFFF
        if offset >= len(self.memory):
            raise ValueError(f"{pointer:#x} is no address in {self!r}")
        return offset

    def close(self) -> None:
        """Unmap the memory and give up the kernel object. A slice that was kept keeps its memory."""
        if self._memory is not None:
            self._memory.release()
            self._memory = None
        if self._mapping is not None:
            with contextlib.suppress(BufferError):
                self._mapping.close()
            self._mapping = None
        super().close()

    def _opened(self) -> None:
        try:
            self._mapping = mmap.mmap(self.fileno(), self.max_entries * mmap.PAGESIZE)
        except OSError as error:
            raise error_of(f"map the memory of {self.fd.what}", error.errno or 0, "CAP_BPF") from None
        self._memory = memoryview(self._mapping)

"""BPF_MAP_TYPE_ARRAY in the memory of both sides (BPF_F_MMAPABLE, Linux 5.5): no system call to read or to write.

What C programs keep in ``.data`` and ``.bss`` lies in such arrays.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import TypeVar

from pybpf.kernel.constants import MapFlag
from pybpf.kernel.fd import FdClosed
from pybpf.kernel.syscall import error_of
from pybpf.maps.array import Array
from pybpf.types import pack, unpack

V = TypeVar("V")


class MappedArray(Array[V]):
    """An array whose values Python reads and writes in place; elsewhere it is an :class:`~pybpf.maps.array.Array`.

    Values are copied byte by byte on this side, without order or atomicity: a value that a program changes meanwhile
    may be seen half old and half new, unless it is a scalar. ``freeze`` needs a map that nobody has mapped for
    writing: with MapFlag.RDONLY_PROG the kernel and ``writable=False`` here, it is a ``.rodata``.
    """

    needed_flags = MapFlag.MMAPABLE

    def __init__(
        self, *, value: type[V], max_entries: int, writable: bool = True, flags: MapFlag | int = 0, name: str = ""
    ) -> None:
        super().__init__(value=value, max_entries=max_entries, flags=flags, name=name)
        self.writable = writable
        self._mapping: mmap.mmap | None = None
        self._memory: memoryview | None = None

    @property
    def step(self) -> int:
        """Bytes from one value to the next: the size rounded up to 8."""
        return -(-self.value_size // 8) * 8

    @property
    def memory(self) -> memoryview:
        """All values of a live map, ``step`` bytes each; released by ``close()``."""
        self._need("memory")
        if self._memory is None:
            raise FdClosed(self._label())
        return self._memory

    def lookup(self, key: int) -> V | None:
        """The value at index ``key``, or None; read from memory."""
        memory = self.memory
        if not 0 <= key < self.max_entries:
            return None
        # One load of an aligned scalar is whole; bytes() of more may be torn.
        value: V = unpack(self.value, bytes(memory[key * self.step : key * self.step + self.value_size]))
        return value

    def __setitem__(self, key: int, value: V) -> None:
        if not self.writable:
            super().__setitem__(key, value)
            return
        if not 0 <= key < self.max_entries:
            raise IndexError(key)
        self.memory[key * self.step : key * self.step + self.value_size] = pack(self.value, value)

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
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if self.writable else 0)
        try:
            self._mapping = mmap.mmap(self.fileno(), self.step * self.max_entries, prot=protection)
        except OSError as error:
            raise error_of(f"map the memory of {self.fd.what}", error.errno or 0, "CAP_BPF") from None
        self._memory = memoryview(self._mapping)

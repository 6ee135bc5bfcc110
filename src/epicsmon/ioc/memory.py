"""Reading another process's memory, and reading much of it fast.

`Memory` is the door: a running process (`ProcessMemory`), or bytes in a test. `MemoryView` stands before it with a
small cache of blocks, because a linked list cannot be batched: each node says where the next one is, but the nodes of
an IOC's database lie close together in its heap, so that one read of 64 KiB serves some dozens of them.

What is read is only ever a moment's picture of a process that runs on; every reader here bounds what it follows.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from epicsmon.ioc.errors import ProcessGone, UnreadableMemory
from pybpf.errors import KernelError
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.process import process_vm_readv

if TYPE_CHECKING:
    from typing_extensions import Self

_PAGE = 4096
_BLOCK_SHIFT = 16
_BLOCK = 1 << _BLOCK_SHIFT

_POINTER = struct.Struct("<Q")


class Memory(Protocol):
    """A process's address space, little-endian with 8-byte pointers."""

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """The bytes of each (address, size), None for one that is not mapped as a whole."""


class ProcessMemory:
    """The memory of a running process; a context manager that owns one file descriptor.

    It reads with process_vm_readv and not through /proc/PID/mem: the kernel then refuses memory of devices
    (VM_IO and VM_PFNMAP, check_vma_flags in mm/gup.c), so that no pointer followed here can ever touch a register of
    the IOC's hardware. The descriptor is of /proc/PID/comm, which stays with this process: once it has ended every
    read raises ProcessGone, even if the number has gone to another process meanwhile.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._comm = OwnedFd(os.open(f"/proc/{pid}/comm", os.O_RDONLY | os.O_CLOEXEC), f"memory of process {pid}")
        except (FileNotFoundError, ProcessLookupError):
            raise ProcessGone(pid) from None

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """The bytes of each (address, size), None for one that is not mapped as a whole.

        Raises ProcessGone, and pybpf's PermissionDenied (CAP_SYS_PTRACE) and FdClosed.
        """
        comm = self._comm.fileno()
        try:
            found = process_vm_readv(self.pid, ranges)
        except KernelError as error:
            if error.errno == errno.ESRCH:
                raise ProcessGone(self.pid) from None
            raise
        self._check_alive(comm)
        return found

    def _check_alive(self, comm: int) -> None:
        try:
            os.pread(comm, 1, 0)
        except OSError:
            raise ProcessGone(self.pid) from None

    def close(self) -> None:
        """Give the file descriptor back; closing twice does nothing."""
        self._comm.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class MemoryView:
    """A picture of a process's memory, read in blocks and kept in a bounded cache (4 MiB unless told).

    Meant for one walk: make a new one for a newer picture. Every method raises UnreadableMemory for what is not
    mapped, and what `Memory` raises.
    """

    def __init__(self, memory: Memory, cached_blocks: int = 64) -> None:
        self._memory = memory
        self._limit = cached_blocks
        self._blocks: dict[int, bytes] = {}

    def locate(self, address: int, size: int) -> tuple[bytes, int]:
        """A buffer and the offset in it where `size` bytes of `address` lie; the fastest access for `unpack_from`."""
        block = self._blocks.get(address >> _BLOCK_SHIFT)
        if block is None:
            block = self._load(address >> _BLOCK_SHIFT)
        offset = address & (_BLOCK - 1)
        if offset + size <= len(block):
            return block, offset
        return self._read_exactly(address, size), 0

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at `address`."""
        buffer, offset = self.locate(address, size)
        return buffer[offset : offset + size]

    def unpack(self, form: struct.Struct, address: int) -> tuple[int, ...]:
        """The members of a structure of integers."""
        buffer, offset = self.locate(address, form.size)
        return form.unpack_from(buffer, offset)

    def pointer(self, address: int) -> int:
        """The 8-byte pointer stored at `address`."""
        buffer, offset = self.locate(address, 8)
        return int(_POINTER.unpack_from(buffer, offset)[0])

    def pointers(self, address: int, count: int) -> tuple[int, ...]:
        """An array of `count` pointers."""
        return struct.unpack(f"<{count}Q", self.read(address, 8 * count))

    def c_string(self, address: int, limit: int) -> bytes:
        """The bytes from `address` up to a NUL, at most `limit` of them; raises when there is no NUL within."""
        block = self._blocks.get(address >> _BLOCK_SHIFT)
        if block is None:
            block = self._load(address >> _BLOCK_SHIFT)
        offset = address & (_BLOCK - 1)
        end = block.find(b"\0", offset, offset + limit + 1)
        if end >= 0:
            return block[offset:end]
        return self._long_c_string(address, limit)

    def _long_c_string(self, address: int, limit: int) -> bytes:
        """A string that no single block holds: page by page, so that one at the end of a mapping is read too."""
        found = b""
        while len(found) <= limit:
            here = address + len(found)
            part = self._read_exactly(here, min(_PAGE - here % _PAGE, limit + 1 - len(found)))
            head, nul, _ = part.partition(b"\0")
            found += head
            if nul:
                return found
        raise UnreadableMemory(address, limit + 1)

    def _read_exactly(self, address: int, size: int) -> bytes:
        [data] = self._memory.read_many([(address, size)])
        if data is None:
            raise UnreadableMemory(address, size)
        return data

    def _load(self, number: int) -> bytes:
        """Fetch a block; one that is not mapped as a whole is kept empty and its contents are read piecemeal."""
        [block] = self._memory.read_many([(number << _BLOCK_SHIFT, _BLOCK)])
        if len(self._blocks) >= self._limit:
            del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = found = block or b""
        return found

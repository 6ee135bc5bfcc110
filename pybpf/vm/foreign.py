"""Memory of a probed process or of the kernel, for the helpers that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpf.vm.fault import Trap

if TYPE_CHECKING:
    from pybpf.vm.memory import Memory

STRING_LIMIT = 512


class Foreign:
    """Bytes at addresses of your choice, out of reach of a program's loads but within that of ``probe_read``."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._pieces: list[tuple[int, bytes]] = []

    def add(self, address: int, data: bytes) -> None:
        """Put ``data`` at ``address``; later pieces cover earlier ones."""
        self._pieces.insert(0, (address, bytes(data)))

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes of one piece, or else of the program's own memory; None when there are none."""
        for start, data in self._pieces:
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        try:
            return self._memory.read(address, size)
        except Trap:
            return None

    def string(self, address: int) -> bytes | None:
        """The bytes up to a NUL, at most 512; None when it begins nowhere."""
        found = bytearray()
        while len(found) < STRING_LIMIT:
            one = self.read(address + len(found), 1)
            if one is None and not found:
                return None
            if one is None or one == b"\0":
                break
            found += one
        return bytes(found)

"""LPM tries in Python: the value of the longest prefix that matches."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pybpf.vm.maps import KeyedVmMap

if TYPE_CHECKING:
    from pybpf.vm.memory import Region

_LENGTH = struct.Struct("=I")


class VmTrie(KeyedVmMap):
    """A key is the length of a prefix in bits (32 bits wide) and the prefix; what lies beyond the length is dropped."""

    def put(self, key: bytes, value: bytes, flags: int, cpu: int | None = None) -> int:
        """As a table's; the bits of ``key`` beyond its length are dropped."""
        return super().put(_canonical(key), value, flags, cpu)

    def drop(self, key: bytes) -> int:
        """Delete the very prefix."""
        return super().drop(_canonical(key))

    def _find(self, key: bytes) -> list[Region] | None:
        for length in range(min(_LENGTH.unpack_from(key)[0], 8 * (len(key) - _LENGTH.size)), -1, -1):
            found = self._elements.get(_canonical(_LENGTH.pack(length) + key[_LENGTH.size :]))
            if found is not None:
                return found
        return None


def _canonical(key: bytes) -> bytes:
    length: int = _LENGTH.unpack_from(key)[0]
    data = key[_LENGTH.size :]
    beyond = 8 * len(data) - min(length, 8 * len(data))
    return key[: _LENGTH.size] + (int.from_bytes(data, "big") >> beyond << beyond).to_bytes(len(data), "big")

"""Packets as programs see them: the context of a hook, and the loads of classic BPF.

``struct __sk_buff`` and ``struct xdp_md`` of ``include/uapi/linux/bpf.h``; the values are those of BPF_PROG_TEST_RUN,
where a packet came in on ``lo``.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pybpf.vm.memory import Memory, Region

ETHERNET = 14
SK_BUFF_SIZE = 192
XDP_MD_SIZE = 24

_NET_OFFSET = -0x10_0000
_LINK_OFFSET = -0x20_0000


@dataclass(frozen=True)
class Packet:
    """``frame`` with its Ethernet header; ``start`` is where the data begins for the hook, ``context`` what r1 is."""

    frame: bytearray
    start: int
    context: Region
    data: Region

    def load(self, offset: int, size: int) -> int | None:
        """The big-endian integer that ``ld_abs`` finds, None past the packet (SKF_NET_OFF, SKF_LL_OFF included)."""
        if offset >= 0:
            position = self.start + offset
        elif offset >= _NET_OFFSET:
            position = ETHERNET + offset - _NET_OFFSET
        elif offset >= _LINK_OFFSET:
            position = offset - _LINK_OFFSET
        else:
            return None
        if position + size > len(self.frame):
            return None
        return int.from_bytes(self.frame[position : position + size], "big")

    def close(self, memory: Memory) -> None:
        """Take context and data out of ``memory``."""
        memory.remove(self.context)
        memory.remove(self.data)


def socket_packet(memory: Memory, frame: bytes | bytearray, *, start: int = ETHERNET) -> Packet:
    """The packet of a socket filter, whose data start after the Ethernet header; classifiers have ``start`` 0."""
    whole = bytearray(frame)
    data = memory.add(whole, "packet", low=True)
    context = bytearray(SK_BUFF_SIZE)
    ethertype = int.from_bytes(frame[12:14], sys.byteorder)
    struct.pack_into("=I", context, 0, max(0, len(frame) - start))
    struct.pack_into("=I", context, 16, ethertype)
    struct.pack_into("=I", context, 40, 1)
    struct.pack_into("=II", context, 76, data.address + start, data.end)
    return Packet(whole, start, memory.add(context, "struct __sk_buff"), data)


def xdp_packet(memory: Memory, frame: bytes | bytearray) -> Packet:
    """The packet of an XDP program."""
    whole = bytearray(frame)
    data = memory.add(whole, "packet", low=True)
    context = bytearray(XDP_MD_SIZE)
    struct.pack_into("=IIIII", context, 0, data.address, data.end, data.address, 1, 0)
    return Packet(whole, 0, memory.add(context, "struct xdp_md"), data)

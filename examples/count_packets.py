"""Counts IPv4 packets by protocol for a while, in the kernel: ``sudo python examples/count_packets.py [SECONDS]``."""

from __future__ import annotations

import socket
import sys
import time

from pybpf.hooks import socket_filter
from pybpf.lang import SkBuff, swap16, u64
from pybpf.maps import Array
from pybpf.object import BpfObject

ETH_P_IP, ETH_P_ALL = 0x0800, 0x0003


class Packets(BpfObject):
    """Packets by the protocol field of their IP header; those of `lo` pass twice: leaving and arriving."""

    by_protocol = Array(value=u64, max_entries=256)

    @socket_filter
    def count(self, ctx: SkBuff) -> int:
        """One packet."""
        if ctx.protocol == swap16(ETH_P_IP):
            self.by_protocol[ctx.u8(9)] += 1
        return 0  # nothing goes to the socket itself


raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
with raw, Packets().load() as packets, packets.count.attach(raw):
    time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 5)
    for protocol, count in packets.by_protocol.items():
        if count:
            print(f"protocol {protocol:3}  {count} packets")

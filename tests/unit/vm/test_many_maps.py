"""The 32-bit pointers of a packet's context reach it, however many maps the object has."""

from __future__ import annotations

from pybpf.vm import Memory
from pybpf.vm.packet import socket_packet


def test_packets_lie_low_beside_many_regions() -> None:
    memory = Memory()
    for number in range(40):
        memory.add(bytearray(8), f"map {number}")
    for _ in range(3):
        packet = socket_packet(memory, bytes(64))
        assert packet.data.end < 1 << 32
        assert int.from_bytes(packet.context.data[76:80], "little") == packet.data.address + 14
        packet.close(memory)

"""IPv4 packets made by hand and sent on a raw socket: what no TCP of this kernel would send."""

from __future__ import annotations

import socket
import struct


def tcp_packet(
    source: str,
    source_port: int,
    destination: str,
    port: int,
    seq: int,
    flags: int,
    payload: bytes = b"",
    *,
    options: bytes = b"",
    ip_options: bytes = b"",
    fragment: int = 0,
) -> bytes:
    """A packet, IP header included; ``fragment`` is the field of flags and offset. No checksum of TCP."""
    words = 5 + len(options) // 4
    tcp = struct.pack(">HHIIBBHHH", source_port, port, seq, 0, words << 4, flags, 1024, 0, 0) + options + payload
    ip_words = 5 + len(ip_options) // 4
    size = ip_words * 4 + len(tcp)
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    return struct.pack(">BBHHHBBH", 0x40 | ip_words, 0, size, 1, fragment, 64, 6, 0) + addresses + ip_options + tcp


class RawSender:
    """Sends packets made by :func:`tcp_packet` from the network namespace it was made in. A context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, packet: bytes) -> None:
        """Send it to its destination; the kernel fills in the checksum of the IP header."""
        self._socket.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))

    def send_tcp(
        self, source: str, source_port: int, destination: str, port: int, seq: int, flags: int, payload: bytes = b""
    ) -> None:
        """Send a TCP segment."""
        self.send(tcp_packet(source, source_port, destination, port, seq, flags, payload))

    def __enter__(self) -> RawSender:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

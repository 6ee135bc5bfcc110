"""From the bytes of a frame to the TCP segment inside: pure functions, no sockets, no clock.

Sources: IEEE 802.1Q and 802.1ad (tags), RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple, Union

from epicsmon.events import Endpoint

Buffer = Union[bytes, bytearray, memoryview]

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10
"""The TCP flags, plain integers because every packet tests them."""


class EtherType(IntEnum):
    """What an Ethernet frame holds."""

    IPV4 = 0x0800
    VLAN = 0x8100
    IPV6 = 0x86DD
    QINQ = 0x88A8
    QINQ_OLD = 0x9100


_TAGS = frozenset((EtherType.VLAN, EtherType.QINQ, EtherType.QINQ_OLD))
_TCP = 6
_IPV6_OPTIONS = frozenset((0, 43, 60))
_ETHERNET_SIZE = 14
_IPV4_SIZE = 20
_IPV6_SIZE = 40
_TCP_SIZE = 20
_IPV4_FRAGMENT = 0x3FFF

_TCP_HEADER = struct.Struct(">HHIIBB")
_IPV4_HEADER = struct.Struct(">BxHxxHxB2x4s4s")


class Segment(NamedTuple):
    """One TCP segment as it was seen; a NamedTuple because one is made for every packet.

    `time_ns` is since the Unix epoch. `payload` may be shorter than `wire_length`, the length it had on the wire, when
    the capture cut it. `ack` counts only with the ACK flag. `namespace` is the inode of the network namespace.
    """

    time_ns: int
    src: Endpoint
    dst: Endpoint
    seq: int
    ack: int
    flags: int
    payload: Buffer
    wire_length: int
    namespace: int | None = None


def parse_ethernet(time_ns: int, frame: Buffer, namespace: int | None = None) -> Segment | None:
    """The TCP segment in an Ethernet frame, behind any VLAN tags; None when it holds none, or not all its headers."""
    end = len(frame)
    offset = _ETHERNET_SIZE
    if end < offset:
        return None
    ether_type = frame[12] << 8 | frame[13]
    while ether_type in _TAGS:
        if end < offset + 4:
            return None
        ether_type = frame[offset + 2] << 8 | frame[offset + 3]
        offset += 4
    if ether_type == EtherType.IPV4 or ether_type == EtherType.IPV6:
        return parse_ip(time_ns, frame, offset, namespace)
    return None


def parse_ip(time_ns: int, packet: Buffer, offset: int = 0, namespace: int | None = None) -> Segment | None:
    """The TCP segment in the IPv4 or IPv6 packet at `offset`; None when it holds none, or not all its headers.

    Fragments give None: the stream then has a hole, which is counted there. A length field of 0 (large segments
    before segmentation, see the kernel's BIG TCP, Linux 5.19 and 6.3) means up to the end of the packet.
    """
    if len(packet) <= offset:
        return None
    version = packet[offset] >> 4
    if version == 4:
        return _parse_ipv4(time_ns, packet, offset, namespace)
    if version == 6:
        return _parse_ipv6(time_ns, packet, offset, namespace)
    return None


def _parse_ipv4(time_ns: int, packet: Buffer, offset: int, namespace: int | None) -> Segment | None:
    if len(packet) - offset < _IPV4_SIZE:
        return None
    first, total, fragment, protocol, src, dst = _IPV4_HEADER.unpack_from(packet, offset)
    header = (first & 0xF) * 4
    if protocol != _TCP or fragment & _IPV4_FRAGMENT or header < _IPV4_SIZE:
        return None
    end = offset + total if total else len(packet)
    return _parse_tcp(time_ns, packet, offset + header, end, src, dst, namespace)


def _parse_ipv6(time_ns: int, packet: Buffer, offset: int, namespace: int | None) -> Segment | None:
    if len(packet) - offset < _IPV6_SIZE:
        return None
    length = packet[offset + 4] << 8 | packet[offset + 5]
    following = packet[offset + 6]
    src, dst = bytes(packet[offset + 8 : offset + 24]), bytes(packet[offset + 24 : offset + 40])
    offset += _IPV6_SIZE
    end = offset + length if length else len(packet)
    while following in _IPV6_OPTIONS:
        if len(packet) - offset < 8:
            return None
        following, offset = packet[offset], offset + 8 + packet[offset + 1] * 8
    return _parse_tcp(time_ns, packet, offset, end, src, dst, namespace) if following == _TCP else None


def _parse_tcp(
    time_ns: int, packet: Buffer, offset: int, end: int, src: bytes, dst: bytes, namespace: int | None
) -> Segment | None:
    """`end` is where the IP packet ends on the wire; the bytes at hand may end before it, or go on with a trailer."""
    if len(packet) - offset < _TCP_SIZE:
        return None
    src_port, dst_port, seq, ack, size, flags = _TCP_HEADER.unpack_from(packet, offset)
    start = offset + (size >> 4) * 4
    if start < offset + _TCP_SIZE or start > end:
        return None
    return Segment(
        time_ns,
        _endpoint(src, src_port),
        _endpoint(dst, dst_port),
        seq,
        ack,
        flags,
        packet[start:end],
        end - start,
        namespace,
    )


@lru_cache(maxsize=65536)
def _endpoint(address: bytes, port: int) -> Endpoint:
    """One object per endpoint: flows are looked up by it."""
    return Endpoint(inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address), port)

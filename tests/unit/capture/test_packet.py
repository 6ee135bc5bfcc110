from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.capture.packet import ACK, PSH, SYN, parse_ethernet, parse_ip
from epicsmon.events import Endpoint

MACS = bytes.fromhex("020000000001020000000002")


def tcp(payload: bytes, *, seq: int = 1000, ack: int = 2000, flags: int = ACK | PSH, options: bytes = b"") -> bytes:
    return (
        struct.pack(">HHIIBBHHH", 50662, 5064, seq, ack, (20 + len(options)) // 4 << 4, flags, 512, 0, 0)
        + options
        + payload
    )


def ipv4(
    segment: bytes, *, options: bytes = b"", fragment: int = 0x4000, protocol: int = 6, total: int | None = None
) -> bytes:
    header = 20 + len(options)
    total = header + len(segment) if total is None else total
    addresses = socket.inet_aton("10.1.2.7") + socket.inet_aton("10.1.2.1")
    return (
        struct.pack(">BBHHHBBH", 0x40 | header // 4, 0, total, 7, fragment, 64, protocol, 0)
        + addresses
        + options
        + segment
    )


def ipv6(segment: bytes, *, extensions: bytes = b"", following: int = 6) -> bytes:
    addresses = socket.inet_pton(socket.AF_INET6, "fd00::7") + socket.inet_pton(socket.AF_INET6, "fd00::1")
    size = len(extensions) + len(segment)
    return struct.pack(">IHBB", 0x60000000, size, following, 64) + addresses + extensions + segment


def ethernet(packet: bytes, *, ether_type: int = 0x0800, tags: bytes = b"") -> bytes:
    return MACS + tags + struct.pack(">H", ether_type) + packet


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_segment_is_read_whole(payload: bytes, seq: int, ack: int) -> None:
    segment = parse_ethernet(5, ethernet(ipv4(tcp(payload, seq=seq, ack=ack))), namespace=9)
    assert segment is not None
    assert (segment.time_ns, segment.namespace) == (5, 9)
    assert (segment.src, segment.dst) == (Endpoint("10.1.2.7", 50662), Endpoint("10.1.2.1", 5064))
    assert (segment.seq, segment.ack, segment.flags) == (seq, ack, ACK | PSH)
    assert (bytes(segment.payload), segment.wire_length) == (payload, len(payload))


@pytest.mark.parametrize(
    "frame",
    [
        ethernet(ipv4(tcp(b"put", options=bytes(12)))),
        ethernet(ipv4(tcp(b"put"), options=bytes(8))),
        ethernet(ipv4(tcp(b"put")), tags=bytes.fromhex("8100006f")),
        ethernet(ipv4(tcp(b"put")), tags=bytes.fromhex("88a800648100006f")),
        ethernet(ipv4(tcp(b"put")) + bytes(6)),
        ethernet(ipv4(tcp(b"put"), total=0)),
        ethernet(ipv6(tcp(b"put")), ether_type=0x86DD),
        ethernet(ipv6(tcp(b"put"), extensions=b"\x06\0" + bytes(6), following=0), ether_type=0x86DD),
    ],
    ids=["tcp options", "ip options", "vlan", "double vlan", "padding", "length 0", "ipv6", "ipv6 options"],
)
def test_the_payload_is_found_behind(frame: bytes) -> None:
    segment = parse_ethernet(0, frame)
    assert segment is not None
    assert bytes(segment.payload) == b"put"
    assert segment.wire_length == 3


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        ethernet(b"", ether_type=0x0806),
        ethernet(ipv4(tcp(b"put"), protocol=17)),
        ethernet(ipv4(tcp(b"put"), fragment=0x2000)),
        ethernet(ipv4(tcp(b"put"), fragment=0x00B9)),
        ethernet(b"\x42" + ipv4(tcp(b"put"))[1:]),
        ethernet(ipv4(tcp(b"put")[:12] + b"\x10" + tcp(b"put")[13:])),
        ethernet(ipv6(tcp(b"put"), following=17), ether_type=0x86DD),
        ethernet(ipv4(tcp(b"put"), total=30)),
    ],
    ids=["empty", "arp", "udp", "first fragment", "later fragment", "short ihl", "short offset", "udp6", "short total"],
)
def test_what_holds_no_tcp_segment_gives_none(frame: bytes) -> None:
    assert parse_ethernet(0, frame) is None


def test_a_cut_frame_keeps_its_length_on_the_wire() -> None:
    segment = parse_ethernet(0, ethernet(ipv4(tcp(b"x" * 100)))[:80])
    assert segment is not None
    assert (len(segment.payload), segment.wire_length) == (26, 100)


@given(st.binary(max_size=120))
def test_any_bytes_give_a_segment_or_none(data: bytes) -> None:
    for segment in (parse_ethernet(0, data), parse_ethernet(0, ethernet(data)), parse_ip(0, data)):
        assert segment is None or len(segment.payload) <= segment.wire_length


@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_damaged_frame_does_no_harm(position: int, damage: bytes) -> None:
    frame = bytearray(ethernet(ipv6(tcp(b"x" * 50), extensions=b"\x06\0" + bytes(6), following=0), ether_type=0x86DD))
    frame[position : position + len(damage)] = damage
    segment = parse_ethernet(0, bytes(frame))
    assert segment is None or len(segment.payload) <= segment.wire_length


def test_a_view_is_read_without_a_copy() -> None:
    segment = parse_ethernet(0, memoryview(ethernet(ipv4(tcp(b"put", flags=SYN)))))
    assert segment is not None
    assert isinstance(segment.payload, memoryview)
    assert segment.flags == SYN

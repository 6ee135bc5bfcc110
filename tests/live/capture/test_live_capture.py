"""The filter and its ring: what comes up of a connection, byte for byte, and what does not."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat

import pytest
from epicsmon.programs import ca_filter

from epicsmon.ca.commands import Command
from epicsmon.ca.header import encode_message
from epicsmon.capture.live import LiveCapture
from epicsmon.capture.packet import ACK, FIN, SYN, Segment
from epicsmon.events import Endpoint, Stage
from tests.support.ca_sockets import LOOPBACK, Circuit, listen
from tests.support.ca_wire import Conversation
from tests.support.links import LINK, allow_big_tcp, connect
from tests.support.netns import NetworkNamespace
from tests.support.putwatch import PutWatch
from tests.support.raw_packets import RawSender, tcp_packet

pytestmark = pytest.mark.needs("netns")

VERSION = encode_message(Command.VERSION, count=13)
NOP = b"\x01"


@pytest.fixture
def capture(netns: NetworkNamespace) -> Iterator[LiveCapture]:
    with LiveCapture() as capture:
        yield capture


def received(capture: LiveCapture) -> list[Segment]:
    segments: list[Segment] = []
    capture.poll(segments.append)
    return segments


def stream(segments: list[Segment], source_port: int) -> bytes:
    """What one end sent, put together by sequence number; AssertionError when a byte is missing."""
    parts = {(s.seq, s.wire_length): bytes(s.payload) for s in segments if s.src.port == source_port and s.wire_length}
    first = min(seq for seq, _ in parts)
    data = bytearray()
    for (seq, _), payload in sorted(parts.items()):
        at = seq - first
        assert at <= len(data), f"{at - len(data)} bytes are missing"
        data[at : at + len(payload)] = payload
    return bytes(data)


def test_a_circuit_comes_up_from_its_first_byte_to_its_last(capture: LiveCapture) -> None:
    data = VERSION + random.Random(1).randbytes(3_000_000)
    with listen() as server, socket.socket() as client:
        client.connect(server.getsockname())
        client_port, server_port = client.getsockname()[1], server.getsockname()[1]
        accepted, _ = server.accept()
        with accepted:
            client.settimeout(10)
            client.sendall(data[:16])
            sent = 16
            got = len(accepted.recv(100))
            client.setblocking(False)
            while got < len(data):
                if sent < len(data):
                    sent += client.send(data[sent : sent + 200_000])
                got += len(accepted.recv(1 << 20))
            client.close()
            assert accepted.recv(1) == b""
    segments = received(capture)
    assert stream(segments, client_port) == data
    counts = capture.counts()
    assert (counts.lost, counts.fragments) == (0, 0)
    # Frames of lo are larger than a piece; the end of the stream is told by the last one only.
    assert max(segment.wire_length for segment in segments) == ca_filter.CHUNK
    assert len(segments) > counts.segments
    own = [segment for segment in segments if segment.src.port == client_port]
    (last,) = [segment for segment in own if segment.flags & FIN]
    assert (last.seq + last.wire_length - own[0].seq) % (1 << 32) == len(data)
    opening = segments[0]
    assert (opening.src.port, opening.flags) == (server_port, SYN | ACK)
    assert opening.ack == own[0].seq
    assert all(len(segment.payload) == segment.wire_length for segment in segments)


def test_every_frame_of_loopback_comes_once(capture: LiveCapture) -> None:
    with Circuit() as circuit:
        circuit.say(True, VERSION)
        for _ in range(100):
            circuit.say(True, b"x" * 50)
        segments = [s for s in received(capture) if s.wire_length]
        assert len(segments) == 101
        assert capture.counts().segments == 102  # and one that opened it


def test_segments_are_timed_by_the_clock_of_everybody(capture: LiveCapture) -> None:
    with Circuit() as circuit:
        bounds = []
        for _ in range(50):
            before = time.time_ns()
            circuit.say(True, VERSION)
            bounds.append((before, time.time_ns()))
        segments = [s for s in received(capture) if s.wire_length]
    assert len(segments) == len(bounds)
    # The two clocks of the kernel are compared to some hundred nanoseconds.
    assert all(before - 5_000 < s.time_ns < after + 5_000 for s, (before, after) in zip(segments, bounds))


def test_the_ends_are_named(capture: LiveCapture, netns: NetworkNamespace) -> None:
    with Circuit("127.8.9.10") as circuit:
        circuit.say(True, VERSION)
        circuit.say(False, VERSION)
        client, server = Endpoint("127.8.9.10", circuit.client_port), Endpoint("127.8.9.10", circuit.server_port)
        data = [s for s in received(capture) if s.wire_length]
    assert [(s.src, s.dst) for s in data] == [(client, server), (server, client)]
    assert {s.namespace for s in data} == {netns.inode}


def test_ip_options_do_not_hide_a_segment(capture: LiveCapture) -> None:
    with Circuit(options=NOP * 8) as circuit:
        circuit.say(True, VERSION)
        circuit.say(True, b"behind eight bytes of options")
        assert stream(received(capture), circuit.client_port) == VERSION + b"behind eight bytes of options"


def test_nor_do_tcp_options_of_any_length(capture: LiveCapture) -> None:
    with RawSender() as sender:
        for words in range(11):
            sender.send(tcp_packet("127.0.0.2", 2_000 + words, LOOPBACK, 9, 1, ACK, VERSION, options=NOP * 4 * words))
    assert [bytes(s.payload) for s in received(capture) if s.wire_length] == [VERSION] * 11


def test_fragments_are_counted(capture: LiveCapture) -> None:
    more, last = 0x2000, 5
    with RawSender() as sender:
        for fragment in (more, last):
            sender.send(tcp_packet("127.0.0.2", 2_000, LOOPBACK, 9, 1, ACK, VERSION, fragment=fragment))
    assert received(capture) == []
    assert capture.counts().fragments == 2


def test_headers_that_lie_do_no_harm(capture: LiveCapture) -> None:
    rng = random.Random(2)
    with RawSender() as sender, Circuit() as circuit:
        for _ in range(3_000):
            packet = bytearray(tcp_packet("127.0.0.2", 2_000, LOOPBACK, 9, 1, ACK, VERSION))
            # Not the length, version and addresses of IP, which the kernel looks at before it sends.
            for _ in range(rng.randrange(1, 6)):
                packet[rng.choice([6, 7, 8, 9, *range(20, len(packet))])] = rng.randrange(256)
            sender.send(bytes(packet[: rng.randrange(40, len(packet) + 1)]))
        received(capture)
        circuit.say(True, VERSION)
        assert [bytes(s.payload) for s in received(capture) if s.src.port == circuit.client_port] == [VERSION]


def test_a_server_that_is_known_is_heard_whatever_it_says(capture: LiveCapture) -> None:
    with listen() as known, listen() as unknown:
        capture.set_servers([known.getsockname()[1]])
        with Circuit(server=known) as first, Circuit(server=unknown) as second:
            for circuit in (first, second):
                circuit.say(True, b"GET / HTTP/1.1\r\n\r\n")
                circuit.say(False, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            segments = received(capture)
            assert {s.src.port for s in segments} == {first.client_port, first.server_port}
            assert stream(segments, first.client_port) == b"GET / HTTP/1.1\r\n\r\n"
        capture.set_servers([])
        with Circuit(server=known) as third:
            third.say(True, b"GET / HTTP/1.1\r\n\r\n")
            assert [s for s in received(capture) if s.src.port == third.client_port] == []


def test_more_servers_than_there_is_room_for(capture: LiveCapture) -> None:
    capture.set_servers(range(1, 10_000))
    capture.set_servers(range(5_000, 15_000))


def test_a_connection_left_out_is_back_with_a_message_of_its_own(capture: LiveCapture) -> None:
    beat = encode_message(Command.ECHO)
    with Circuit() as circuit:
        circuit.say(True, VERSION)
        assert received(capture)
        for one, other in ((circuit.client_port, circuit.server_port), (circuit.server_port, circuit.client_port)):
            capture.leave_out(Endpoint(LOOPBACK, one), Endpoint(LOOPBACK, other))
            circuit.say(True, b"anything else" * 2)
            circuit.say(False, b"anything else" * 2)
            assert received(capture) == []
            circuit.say(True, beat)
            assert [bytes(s.payload) for s in received(capture)] == [beat]


@pytest.mark.parametrize("size", [16, 40, 100_000])
@pytest.mark.parametrize("command", [Command.WRITE, Command.WRITE_NOTIFY, Command.EVENT_ADD, Command.READ_NOTIFY])
def test_a_circuit_joined_in_its_middle_is_known_by_a_value(
    netns: NetworkNamespace, command: Command, size: int
) -> None:
    message = encode_message(command, bytes(size), data_type=6, count=size // 8, p1=1, p2=1)
    with Circuit() as circuit:
        circuit.say(True, VERSION)
        with LiveCapture() as capture:
            circuit.say(True, message)
            assert stream(received(capture), circuit.client_port) == message


def test_what_is_not_taken_waits_in_the_ring(capture: LiveCapture) -> None:
    with Circuit() as circuit:
        for n in range(10):
            circuit.say(True, encode_message(Command.VERSION, data_type=n, count=13))
        assert capture.pending() > 0
        seen: list[Segment] = []
        assert [capture.poll(seen.append, 4) for _ in range(4)] == [4, 4, 3, 0]
    assert [s.payload[5] for s in seen if s.wire_length] == list(range(10))


def test_a_capture_sees_its_own_namespace_only(capture: LiveCapture) -> None:
    with NetworkNamespace() as other, other.entered(), Circuit() as circuit:
        circuit.say(True, VERSION)
        assert received(capture) == []


def test_traffic_between_two_hosts(netns: NetworkNamespace) -> None:
    """Each end sees the puts that leave it, and those that arrive."""
    talk = Conversation().begin()
    sid = talk.create("ACROSS", cid=1)
    for n in range(100):
        talk.put(sid, float(n), notify=n % 2 == 1)
    talk.put(sid, tuple(float(n) for n in range(30_000)))
    with ExitStack() as stack:
        other = stack.enter_context(NetworkNamespace())
        here, there = connect(netns, other)
        client = stack.enter_context(PutWatch())
        with other.entered():
            server = stack.enter_context(PutWatch())
            listening = stack.enter_context(listen(there))
        circuit = stack.enter_context(Circuit(server=listening))
        circuit.play(talk, repeat(1 << 20))
        for watch in (client, server):
            puts = watch.take(len(talk.puts))
            assert [(p.pv, p.value) for p in puts] == [(p.pv, p.value) for p in talk.puts]
            assert {(p.client.host, p.server.host) for p in puts} == {(here, there)}
            assert watch.gaps == []


def test_a_tagged_frame_from_another_host(netns: NetworkNamespace) -> None:
    packet = tcp_packet("10.99.0.2", 2_000, "10.99.0.1", 9, 1, ACK, VERSION)
    with NetworkNamespace() as other, ExitStack() as stack:
        connect(netns, other)
        capture = stack.enter_context(LiveCapture())
        with other.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((LINK, 0))
            for tag in (b"", struct.pack(">HH", 0x8100, 42), struct.pack(">HH", 0x88A8, 7)):
                raw.send(b"\xff" * 6 + b"\x02" + bytes(5) + tag + struct.pack(">H", 0x0800) + packet)
        time.sleep(0.05)
        assert [bytes(s.payload) for s in received(capture) if s.wire_length] == [VERSION] * 3


def test_segments_beyond_64_kb_are_never_half_believed(netns: NetworkNamespace) -> None:
    try:
        allow_big_tcp(300_000)
    except OSError as error:
        pytest.skip(f"needs BIG TCP over IPv4 (Linux 6.3): {error}")
    values = tuple(float(n) for n in range(500_000))
    talk = Conversation().begin()
    sid = talk.create("BIG", cid=1)
    talk.put(sid, values)
    talk.put(sid, 1.5)
    with PutWatch() as watch, Circuit() as circuit:
        circuit.play(talk, repeat(1 << 24))
        big, small = watch.take(2)
        counts = watch.source.capture.counts()
    assert (small.pv, small.value) == ("BIG", 1.5)
    assert (big.pv, big.count) == ("BIG", len(values))
    if counts.unreadable:
        assert big.value is None
        assert sum(gap.lost for gap in watch.gaps if gap.stage is Stage.SOCKET) == counts.unreadable
    else:
        assert big.value == values

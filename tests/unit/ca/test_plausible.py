from __future__ import annotations

import random
import struct

from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ca.commands import Command
from epicsmon.ca.header import Header, encode_message
from epicsmon.ca.plausible import Verdict, first_plausible, follow, plausible
from tests.support.ca_wire import random_conversation, text


def plausible_header(header: Header) -> bool:
    return plausible(
        header.command,
        header.payload_size,
        header.data_type,
        header.data_count,
        header.parameter1,
        header.parameter2,
    )


@given(st.integers(0, 2**32))
def test_everything_a_conversation_says_is_plausible(seed: int) -> None:
    for _, message in random_conversation(random.Random(seed), 60).said:
        header = Header.decode(message)
        assert header is not None
        assert plausible_header(header)


def test_zeros_are_no_messages() -> None:
    assert follow(bytes(1600), 0, trusted=True) is Verdict.BROKEN


@given(st.lists(st.floats(0.001, 1e6), min_size=20, max_size=20))
def test_arrays_of_numbers_are_no_messages(values: list[float]) -> None:
    payload = struct.pack(">20d", *values)
    for offset in range(0, len(payload) - 16, 8):
        assert follow(payload, offset, trusted=False) is not Verdict.MESSAGES


def test_a_lone_put_that_fits_its_segment_is_a_message() -> None:
    put = encode_message(Command.WRITE, b"\x40" + bytes(7), data_type=6, count=1, p1=3, p2=4)
    assert follow(put, 0, trusted=False) is Verdict.MESSAGES
    assert follow(put + b"\0", 0, trusted=False) is Verdict.OPEN
    assert follow(put[:-1], 0, trusted=False) is Verdict.OPEN


def test_a_lone_header_is_believed_only_where_a_message_must_begin() -> None:
    clear = encode_message(Command.CLEAR_CHANNEL, p1=1, p2=2)
    assert follow(clear, 0, trusted=False) is Verdict.OPEN
    assert follow(clear, 0, trusted=True) is Verdict.MESSAGES
    assert follow(clear * 2, 0, trusted=False) is Verdict.MESSAGES


def test_a_circuit_begins_with_its_version() -> None:
    assert first_plausible(encode_message(Command.VERSION, data_type=20, count=13))
    assert first_plausible(encode_message(Command.VERSION, data_type=1, count=13, p1=1))
    assert first_plausible(encode_message(Command.CLIENT_NAME, text("alice")))
    assert first_plausible(b"SSH-2.0-OpenSSH_9.2\r\n") is False
    assert first_plausible(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(9)) is False
    assert first_plausible(bytes(16)) is False
    assert first_plausible(b"\0" * 15) is None

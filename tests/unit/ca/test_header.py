from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ca.commands import Command
from epicsmon.ca.header import Header, encode_message, padded

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)


@given(U16, U32, U16, U32, U32, U32, st.booleans())
def test_a_header_survives_encoding(
    command: int, size: int, data_type: int, count: int, p1: int, p2: int, extended: bool
) -> None:
    header = Header(command, size, data_type, count, p1, p2, extended)
    read = Header.decode(b"xyz" + header.encode() + b"more", 3)
    assert read is not None
    must_extend = size >= 0xFFFF or count >= 0xFFFF
    assert read == Header(command, size, data_type, count, p1, p2, extended or must_extend)
    assert read.size == len(header.encode())


@given(st.binary(max_size=30))
def test_a_short_buffer_is_no_header(data: bytes) -> None:
    header = Header.decode(data)
    if header is None:
        assert len(data) < 24
    else:
        assert header.encode() == data[: header.size]


def test_an_extended_header_is_laid_out_as_base_does() -> None:
    # ca/client/comQueSend.cpp: 0xffff, type, 0, then p1 and p2, then the real size and count.
    encoded = Header(Command.WRITE, 80000, 6, 10000, 0x11, 0x22).encode()
    assert encoded.hex() == "0004ffff00060000000000110000002200013880" + "00002710"


def test_a_header_cut_inside_its_extension_is_not_decoded() -> None:
    assert Header.decode(Header(Command.WRITE, 80000).encode()[:23]) is None


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 8), (8, 8), (9, 16)])
def test_payloads_are_padded_to_eight(size: int, expected: int) -> None:
    assert padded(size) == expected
    assert len(encode_message(Command.HOST_NAME, b"x" * size)) == 16 + expected

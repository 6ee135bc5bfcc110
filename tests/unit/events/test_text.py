"""Text of strangers cannot steer a terminal, forge a line, or break a store."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.text import decode, duration, encodable, escape, local_clock, long_string, rfc3339

any_text = st.text(st.characters())  # lone surrogates included


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("LINAC:MAG:Q12:SET", "LINAC:MAG:Q12:SET"),
        ("température 20 °C", "température 20 °C"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb", "a\\nb"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2028", "\\u2028"),
        ("C:\\x1b", "C:\\\\x1b"),
        ("\udc80", "\\udc80"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(any_text)
def test_escaped_text_is_printable_and_can_be_read_back(text: str) -> None:
    shown = escape(text)
    assert shown.isprintable()
    assert ast.literal_eval("'" + shown.replace("'", "\\'") + "'") == text


@given(st.binary())
def test_decoded_text_can_always_be_encoded(raw: bytes) -> None:
    assert "\0" not in decode(raw)
    decode(raw).encode("utf-8")


def test_decoding_stops_at_the_first_nul_and_shows_bad_bytes() -> None:
    assert decode(b"op\xe9rateur\0rubbish") == "op\\xe9rateur"


@given(any_text)
def test_encodable_text_encodes(text: str) -> None:
    encodable(text).encode("utf-8")


@given(st.text())
def test_encodable_leaves_proper_text_alone(text: str) -> None:
    assert encodable(text) == text


def test_long_strings() -> None:
    assert long_string(b"/data/run7\0\0\0") == "/data/run7"
    assert long_string(b"\x01\x02\x03") is None
    assert long_string(b"\0") is None
    assert long_string(b"\xff\xfe") is None


def test_times() -> None:
    assert rfc3339(1_591_203_809_123_456_789) == "2020-06-03T17:03:29.123456789Z"
    assert rfc3339(10**27) == "@1000000000000000000.000000000Z"
    assert local_clock(1_591_203_809_482_999_999).endswith(":29.482")


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0 ns"),
        (870, "870 ns"),
        (1000, "1.00 us"),
        (12_400, "12.4 us"),
        (999_400, "999 us"),
        (999_600, "1.00 ms"),
        (38_000_000, "38.0 ms"),
        (2_500_000_000, "2.50 s"),
        (90_000_000_000, "90.0 s"),
        (7_200_000_000_000, "7200 s"),
    ],
)
def test_durations(nanoseconds: int, shown: str) -> None:
    assert duration(nanoseconds) == shown

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ca.dbr import LAYOUTS, DbrType, consistent, decode_value
from epicsmon.ca.header import padded
from tests.support.ca_wire import encode_value

INTEGERS = {
    DbrType.SHORT: st.integers(-(2**15), 2**15 - 1),
    DbrType.ENUM: st.integers(0, 2**16 - 1),
    DbrType.CHAR: st.integers(0, 255),
    DbrType.LONG: st.integers(-(2**31), 2**31 - 1),
}


@pytest.mark.parametrize("data_type", INTEGERS)
@given(data=st.data())
def test_integers_come_back(data_type: DbrType, data: st.DataObject) -> None:
    value = data.draw(INTEGERS[data_type])
    assert decode_value(data_type, 1, encode_value(data_type, value)) == value


@given(st.floats(), st.floats(width=32))
def test_floats_come_back(double: float, single: float) -> None:
    for data_type, value in ((DbrType.DOUBLE, double), (DbrType.FLOAT, single)):
        read = decode_value(data_type, 1, encode_value(data_type, value))
        assert isinstance(read, float)
        assert read == value or (math.isnan(read) and math.isnan(value))


@given(st.lists(st.floats(allow_nan=False), min_size=2), st.binary(max_size=20))
def test_arrays_come_back_from_the_middle_of_a_segment(values: list[float], before: bytes) -> None:
    payload = encode_value(DbrType.DOUBLE, tuple(values))
    data = before + payload + b"next message"
    assert decode_value(DbrType.DOUBLE, len(values), data, len(before), len(payload)) == tuple(values)


@pytest.mark.parametrize("data_type", list(DbrType))
def test_every_type_has_its_value_behind_its_metadata(data_type: DbrType) -> None:
    layout = LAYOUTS[data_type]
    if layout.code == "s":
        element, value = b"text".ljust(40, b"\0"), "text"
    else:
        element, value = struct.pack(">" + layout.code, 42), 42  # type: ignore[assignment]
    assert len(element) == layout.value_size
    payload = (b"\xee" * layout.value_offset + element).ljust(layout.size, b"\xee")
    assert decode_value(data_type, 1, payload) == value
    three = b"\xee" * layout.value_offset + element * 3
    expected = bytes((42, 42, 42)) if layout.code == "B" else (value,) * 3
    assert decode_value(data_type, 3, three) == expected


def test_sizes_are_those_of_db_access_h() -> None:
    numpy_like = {DbrType.TIME_DOUBLE: (24, 16), DbrType.CTRL_DOUBLE: (88, 80), DbrType.GR_ENUM: (424, 422)}
    for data_type, (size, offset) in numpy_like.items():
        assert (LAYOUTS[data_type].size, LAYOUTS[data_type].value_offset) == (size, offset)
    assert len(LAYOUTS) == 39


def test_a_single_string_may_be_cut_short_after_its_nul() -> None:
    assert decode_value(DbrType.STRING, 1, b"12.5\0\0\0\0") == "12.5"
    assert decode_value(DbrType.STRING, 1, b"x" * 40) == "x" * 40
    assert decode_value(DbrType.STRING, 1, b"x" * 48) == "x" * 40


def test_only_the_last_string_of_an_array_may_be_cut_short() -> None:
    first = b"one".ljust(40, b"\0")
    assert decode_value(DbrType.STRING, 2, first + b"two\0\0\0\0\0") == ("one", "two")
    assert decode_value(DbrType.STRING, 2, first) is None
    assert decode_value(DbrType.STRING, 3, first + b"two\0\0\0\0\0") is None


@pytest.mark.parametrize("data_type", [DbrType.STRING, DbrType.DOUBLE, DbrType.TIME_LONG])
def test_a_count_of_zero_is_an_empty_array(data_type: DbrType) -> None:
    assert decode_value(data_type, 0, b"\0" * 16) == ()


def test_an_array_of_char_is_bytes() -> None:
    assert decode_value(DbrType.CHAR, 5, b"hello\0\0\0") == b"hello"
    assert decode_value(DbrType.CHAR, 1, b"h\0\0\0\0\0\0\0") == ord("h")


def test_text_that_is_no_utf8_stays_encodable() -> None:
    value = decode_value(DbrType.STRING, 1, b"\xff\xfeabc\0\0\0")
    assert isinstance(value, str)
    assert value.encode("utf-8").endswith(b"abc")


@given(st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.binary(max_size=100))
def test_any_bytes_give_a_value_or_none(data_type: int, count: int, payload: bytes) -> None:
    value = decode_value(data_type, count, payload)
    if data_type > 38:
        assert value is None
    if isinstance(value, (tuple, bytes)):
        assert len(value) == count


@given(st.sampled_from(list(DbrType)), st.integers(1, 50), st.integers(0, 3000))
def test_a_payload_is_consistent_only_with_its_own_size(data_type: DbrType, count: int, size: int) -> None:
    layout = LAYOUTS[data_type]
    full = padded(layout.payload_size(count))
    assert consistent(data_type, count, full)
    if layout.code != "s" and size != full:
        assert not consistent(data_type, count, size)
    assert not consistent(data_type, count, full + 8)

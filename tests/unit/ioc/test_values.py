from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ioc.dbf import DbfType
from epicsmon.ioc.recordtypes import Field
from epicsmon.ioc.values import (
    decode_array,
    decode_buffer,
    decode_field,
    decode_scalar,
    decode_time,
    element_size,
)

INTEGERS = {
    DbfType.CHAR: (1, True),
    DbfType.UCHAR: (1, False),
    DbfType.SHORT: (2, True),
    DbfType.USHORT: (2, False),
    DbfType.LONG: (4, True),
    DbfType.ULONG: (4, False),
    DbfType.INT64: (8, True),
    DbfType.UINT64: (8, False),
    DbfType.ENUM: (2, False),
    DbfType.MENU: (2, False),
    DbfType.DEVICE: (2, False),
}
CHARACTERS = (DbfType.CHAR, DbfType.UCHAR)


def a_field(dbf: DbfType, size: int) -> Field:
    return Field("X", dbf, 0, size, 0, False, 0)


@given(st.sampled_from(list(INTEGERS)), st.data())
def test_integers_of_every_type(dbf: DbfType, data: st.DataObject) -> None:
    size, signed = INTEGERS[dbf]
    assert element_size(dbf) == size
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    numbers = data.draw(st.lists(st.integers(low, high), max_size=20))
    raw = b"".join(number.to_bytes(size, "little", signed=signed) for number in numbers)
    assert decode_array(dbf, raw) == (raw if dbf in CHARACTERS else tuple(numbers))
    for index, number in enumerate(numbers):
        assert decode_scalar(dbf, raw[index * size :]) == number
        assert decode_field(a_field(dbf, size), raw[index * size : (index + 1) * size]) == number
    assert decode_scalar(dbf, raw[: size - 1][: max(0, len(raw) - 1)]) is None or size == 1


@given(st.floats(), st.floats(width=32))
def test_floats(double: float, single: float) -> None:
    for dbf, form, value in ((DbfType.DOUBLE, "<d", double), (DbfType.FLOAT, "<f", single)):
        found = decode_scalar(dbf, struct.pack(form, value))
        assert isinstance(found, float)
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_strings_end_at_their_nul_or_their_field() -> None:
    assert decode_field(a_field(DbfType.STRING, 16), b"volts\0garbage....") == "volts"
    assert decode_field(a_field(DbfType.STRING, 4), b"voltsandmore") == "volt"
    assert decode_field(a_field(DbfType.STRING, 4), b"\xff\0\0\0") == "\\xff"
    assert decode_array(DbfType.STRING, b"one".ljust(40, b"\0") + b"x" * 40 + b"cut") == ("one", "x" * 40)


@given(st.sampled_from(list(DbfType)), st.binary(max_size=200), st.integers(-2, 30))
def test_any_bytes_decode_to_a_value_or_none(dbf: DbfType, raw: bytes, count: int) -> None:
    decode_scalar(dbf, raw)
    whole = decode_array(dbf, raw)
    some = decode_buffer(dbf, raw, count)
    if dbf.is_link or dbf is DbfType.NOACCESS:
        assert whole is None
        assert some is None
    elif count > 1:
        assert isinstance(some, (tuple, bytes))
        assert len(some) <= count
        assert repr(some) == repr(whole[: len(some)])  # type: ignore[index]  # NaN equals nothing, itself neither


def test_one_element_is_a_scalar_as_dbput_means_it() -> None:
    assert decode_buffer(DbfType.DOUBLE, struct.pack("<d", 1.5), 1) == 1.5
    assert decode_buffer(DbfType.DOUBLE, struct.pack("<2d", 1.5, 2), 2) == (1.5, 2.0)
    assert decode_buffer(DbfType.CHAR, b"abc\0", 4) == b"abc\0"
    assert decode_buffer(DbfType.CHAR, b"\xff", 1) == -1
    assert decode_buffer(DbfType.STRING, b"hi".ljust(40, b"\0"), 1) == "hi"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (struct.pack("<II", 0, 0), None),
        (struct.pack("<II", 0, 1), 631_152_000_000_000_001),
        # 2026-11-20T12:00:00.25Z, by date(1): 1795176000
        (struct.pack("<II", 1795176000 - 631152000, 250_000_000), 1_795_176_000_250_000_000),
        (b"short", None),
    ],
)
def test_time_stamps(raw: bytes, expected: int | None) -> None:
    assert decode_time(raw) == expected

"""The bytes of a field as a value: pure functions, little-endian."""

from __future__ import annotations

import struct
from types import MappingProxyType

from epicsmon.events import Value
from epicsmon.ioc.dbf import DbfType
from epicsmon.ioc.recordtypes import Field
from epicsmon.text import decode

MAX_STRING_SIZE = 40
"""Bytes of one DBR_STRING, also of one element of an array of strings (epicsTypes.h)."""

EPICS_EPOCH_SECONDS = 631_152_000
"""The EPICS epoch, 1990-01-01 00:00 UTC, in seconds since the Unix epoch (POSIX_TIME_AT_EPICS_EPOCH, epicsTime.h)."""

_TIME_STAMP = struct.Struct("<II")

_FORMATS = MappingProxyType(
    {
        DbfType.CHAR: "b",
        DbfType.UCHAR: "B",
        DbfType.SHORT: "h",
        DbfType.USHORT: "H",
        DbfType.LONG: "i",
        DbfType.ULONG: "I",
        DbfType.INT64: "q",
        DbfType.UINT64: "Q",
        DbfType.FLOAT: "f",
        DbfType.DOUBLE: "d",
        DbfType.ENUM: "H",
        DbfType.MENU: "H",
        DbfType.DEVICE: "H",
    }
)
"""dbFldTypes.h and epicsTypes.h: ENUM, MENU and DEVICE are epicsEnum16."""

_SCALARS = MappingProxyType({dbf: struct.Struct("<" + form) for dbf, form in _FORMATS.items()})


def element_size(dbf: DbfType) -> int | None:
    """Bytes of one element in a buffer; None for links and NOACCESS, which no buffer holds."""
    if dbf is DbfType.STRING:
        return MAX_STRING_SIZE
    form = _SCALARS.get(dbf)
    return None if form is None else form.size


def decode_field(field: Field, raw: bytes) -> Value:
    """The value of a scalar field from its bytes in the record; for ENUM, MENU and DEVICE a number.

    `Field.choice` names those of MENU and DEVICE. None for links, for NOACCESS (pointers and arrays:
    `epicsmon.ioc.arrays`; TIME: `decode_time`) and for fewer bytes than the type has.
    """
    if field.dbf is DbfType.STRING:
        return decode(raw[: field.size])
    return decode_scalar(field.dbf, raw)


def decode_scalar(dbf: DbfType, raw: bytes) -> Value:
    """One value of a type from the first bytes of `raw`; None when these are too few or the type has no value."""
    if dbf is DbfType.STRING:
        return decode(raw[:MAX_STRING_SIZE])
    form = _SCALARS.get(dbf)
    if form is None or len(raw) < form.size:
        return None
    value: int | float = form.unpack_from(raw)[0]
    return value


def decode_array(dbf: DbfType, raw: bytes) -> Value:
    """All the elements that lie whole in `raw`: bytes for CHAR and UCHAR, else a tuple; None for links and NOACCESS."""
    if dbf in (DbfType.CHAR, DbfType.UCHAR):
        return raw
    size = element_size(dbf)
    if size is None:
        return None
    count = len(raw) // size
    if dbf is DbfType.STRING:
        return tuple(decode(raw[at : at + size]) for at in range(0, count * size, size))
    return struct.unpack_from(f"<{count}{_FORMATS[dbf]}", raw)


def decode_buffer(dbf: DbfType, raw: bytes, count: int) -> Value:
    """What dbPut is given or dbGet gives: one value as such, more as an array (see `decode_array`)."""
    if count == 1:
        return decode_scalar(dbf, raw)
    size = element_size(dbf)
    return None if size is None or count < 0 else decode_array(dbf, raw[: count * size])


def decode_time(raw: bytes) -> int | None:
    """Field TIME, an epicsTimeStamp, in nanoseconds since the Unix epoch; None for 0: the record never processed.

    epicsTime.h: seconds and nanoseconds since 1990, both unsigned 32 bit.
    """
    if len(raw) < _TIME_STAMP.size:
        return None
    seconds: int
    nanoseconds: int
    seconds, nanoseconds = _TIME_STAMP.unpack_from(raw)
    if not seconds and not nanoseconds:
        return None
    return (seconds + EPICS_EPOCH_SECONDS) * 1_000_000_000 + nanoseconds

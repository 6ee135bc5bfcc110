"""The DBR types: their layouts, and the value in a payload as a Python value.

Source: EPICS Base db_access.h (dbr_size, dbr_value_size, dbr_value_offset). Everything is big-endian on the wire.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from epicsmon.ca.header import Buffer
from epicsmon.events import Value
from epicsmon.text import decode


class DbrType(IntEnum):
    """The types of a CA payload, under Base's names without the DBR_ prefix."""

    STRING = 0
    SHORT = 1
    FLOAT = 2
    ENUM = 3
    CHAR = 4
    LONG = 5
    DOUBLE = 6
    STS_STRING = 7
    STS_SHORT = 8
    STS_FLOAT = 9
    STS_ENUM = 10
    STS_CHAR = 11
    STS_LONG = 12
    STS_DOUBLE = 13
    TIME_STRING = 14
    TIME_SHORT = 15
    TIME_FLOAT = 16
    TIME_ENUM = 17
    TIME_CHAR = 18
    TIME_LONG = 19
    TIME_DOUBLE = 20
    GR_STRING = 21
    GR_SHORT = 22
    GR_FLOAT = 23
    GR_ENUM = 24
    GR_CHAR = 25
    GR_LONG = 26
    GR_DOUBLE = 27
    CTRL_STRING = 28
    CTRL_SHORT = 29
    CTRL_FLOAT = 30
    CTRL_ENUM = 31
    CTRL_CHAR = 32
    CTRL_LONG = 33
    CTRL_DOUBLE = 34
    PUT_ACKT = 35
    PUT_ACKS = 36
    STSACK_STRING = 37
    CLASS_NAME = 38


LAST_TYPE = max(DbrType)
STRING_SIZE = 40
"""MAX_STRING_SIZE of Base: what a string takes in an array, the final NUL included."""


@dataclass(frozen=True)
class DbrLayout:
    """Where the value of a type lies: the size with one element, the size of an element, the offset of the first.

    `code` is the struct character of an element, "s" for strings.
    """

    size: int
    value_size: int
    value_offset: int
    code: str

    def payload_size(self, count: int) -> int:
        """The bytes of a payload with `count` elements, before padding."""
        return self.value_offset + count * self.value_size if count != 1 else self.size


_SIZES = (
    (40, 40, 0), (2, 2, 0), (4, 4, 0), (2, 2, 0), (1, 1, 0), (4, 4, 0), (8, 8, 0),
    (44, 40, 4), (6, 2, 4), (8, 4, 4), (6, 2, 4), (6, 1, 5), (8, 4, 4), (16, 8, 8),
    (52, 40, 12), (16, 2, 14), (16, 4, 12), (16, 2, 14), (16, 1, 15), (16, 4, 12), (24, 8, 16),
    (44, 40, 4), (26, 2, 24), (44, 4, 40), (424, 2, 422), (20, 1, 19), (40, 4, 36), (72, 8, 64),
    (44, 40, 4), (30, 2, 28), (52, 4, 48), (424, 2, 422), (22, 1, 21), (48, 4, 44), (88, 8, 80),
    (2, 2, 0), (2, 2, 0), (48, 40, 8), (40, 40, 0),
)  # fmt: skip
_CODES = "shfHBid" * 5 + "HHss"
LAYOUTS = {DbrType(t): DbrLayout(*sizes, code) for t, (sizes, code) in enumerate(zip(_SIZES, _CODES))}

# Looked up with the plain integers of the wire: a table entry is all that a scalar put costs.
_SCALAR: dict[int, tuple[int, int, Callable[[Buffer, int], tuple[float]]]] = {
    int(t): (layout.value_offset, layout.value_offset + layout.value_size, struct.Struct(">" + layout.code).unpack_from)
    for t, layout in LAYOUTS.items()
    if layout.code != "s"
}
_LAYOUT: dict[int, DbrLayout] = {int(t): layout for t, layout in LAYOUTS.items()}


def decode_value(dbr_type: int, count: int, data: Buffer, offset: int = 0, size: int | None = None) -> Value:
    """The value of a payload of `size` bytes at `offset`: a scalar for a count of 1, else a tuple, else bytes.

    An array of CHAR becomes bytes (it is mostly a long string), a count of 0 an empty tuple. A string may be cut
    short after its NUL, as libca sends it. None for an unknown type and for a payload too short for its count.
    """
    if size is None:
        size = len(data) - offset
    if count == 1:
        scalar = _SCALAR.get(dbr_type)
        if scalar is not None:
            return scalar[2](data, offset + scalar[0])[0] if size >= scalar[1] else None
    layout = _LAYOUT.get(dbr_type)
    if layout is None:
        return None
    if layout.code == "s":
        return _strings(layout, count, data, offset, size)
    if size < layout.value_offset + count * layout.value_size:
        return None
    start = offset + layout.value_offset
    if layout.code == "B":
        return bytes(data[start : start + count])
    return struct.unpack_from(f">{count}{layout.code}", data, start)


def _strings(layout: DbrLayout, count: int, data: Buffer, offset: int, size: int) -> Value:
    start, end = offset + layout.value_offset, offset + size
    if count == 1:
        return decode(bytes(data[start : min(end, start + STRING_SIZE)])) if start <= end else None
    # Only the last string of an array may lack bytes: the others are found by their place.
    if end - start <= (count - 1) * STRING_SIZE:
        return None if count else ()
    raw = bytes(data[start : min(end, start + count * STRING_SIZE)])
    return tuple(decode(raw[i * STRING_SIZE : (i + 1) * STRING_SIZE]) for i in range(count))


def consistent(dbr_type: int, count: int, size: int) -> bool:
    """Whether a payload of `size` bytes is what a sender makes of this type and count.

    Exact up to the padding, except that the last string may be cut short and that a count of 0 may come with the
    metadata alone or with room for one element.
    """
    layout = _LAYOUT.get(dbr_type)
    if layout is None:
        return False
    full = (layout.payload_size(count) + 7) & ~7
    if layout.code == "s":
        return layout.value_offset + max(count - 1, 0) * STRING_SIZE <= size <= full
    return size == full or (count == 0 and size == (layout.size + 7) & ~7)

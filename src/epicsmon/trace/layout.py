"""What the kernel program must know of an IOC's records, and how to read what it sends: all from the IOC's own tables.

An event of dbProcess carries one window of the record: from the first of STAT, SEVR, PACT and RDES to behind VAL. One
read of a few hundred bytes costs the IOC less than two small ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from epicsmon.ioc import UnknownLayout, decode_field
from epicsmon.ioc.values import element_size

if TYPE_CHECKING:
    from epicsmon.events import Value
    from epicsmon.ioc import Field, RecordType, RecordTypes

_WANTED = ("STAT", "SEVR", "PACT", "RDES")
_WINDOW_LIMIT = 512
"""No type's value makes the window longer than this, in bytes."""
_STRING_CODE = 15


@dataclass(frozen=True)
class Outcome:
    """A record as a call left it; None where it is not known."""

    record_type: RecordType | None
    value: Value
    status: str | None
    severity: str | None
    active: bool | None


NOT_READ = Outcome(None, None, None, None, None)


@dataclass(frozen=True)
class TraceLayout:
    """The window of a record and how to decode it; ``offset`` and ``size`` are bytes within the record.

    VAL is in it for every type that keeps it within 512 bytes, as all scalar types of Base do. For others, and for
    arrays and long strings, which lie outside the record, the value is None.

    Raises:
        UnknownLayout: dbCommon has none of the fields that are needed; asked for when it is read first.
    """

    types: RecordTypes

    @cached_property
    def offset(self) -> int:
        """Where the window begins."""
        return min(self._common(name).offset for name in _WANTED) // 8 * 8

    @cached_property
    def size(self) -> int:
        """How long the window is, a multiple of 8. Of small records it takes in what the heap has behind them."""
        ends = [self._needed]
        for record_type in self.types.values():
            value = record_type.value_field
            if value is not None and value.offset + value.size <= self.offset + _WINDOW_LIMIT:
                ends.append(value.offset + value.size)
        return _round_up(max(ends) - self.offset)

    @cached_property
    def certain_size(self) -> int:
        """How much of the window lies within every record: what is sent when behind it there is no memory."""
        smallest = min(record_type.size for record_type in self.types.values())
        return min(self.size, max(_round_up(self._needed - self.offset), smallest - self.offset))

    @cached_property
    def _needed(self) -> int:
        return max(self._common(name).offset + self._common(name).size for name in _WANTED)

    @cached_property
    def element_sizes(self) -> int:
        """Bytes of an element by DBR type as the program wants them: four bits each, 15 for a string of 40."""
        codes = 0
        for number in range(16):
            dbf = self.types.numbering.dbr(number)
            size = 0 if dbf is None else element_size(dbf) or 0
            codes |= (size if size < _STRING_CODE else _STRING_CODE) << (4 * number)
        return codes

    def read(self, window: bytes) -> Outcome:
        """What the window of a record says, or its first :attr:`certain_size` bytes; nothing when it is shorter."""
        if len(window) < self.certain_size:
            return NOT_READ
        rdes = int.from_bytes(self._bytes(window, self._common("RDES")), "little")
        record_type = self.types.at(rdes)
        return Outcome(
            record_type,
            None if record_type is None else self._value(window, record_type),
            self._choice(window, self._common("STAT")),
            self._choice(window, self._common("SEVR")),
            bool(self._bytes(window, self._common("PACT"))[0]),
        )

    def _value(self, window: bytes, record_type: RecordType) -> Value:
        field = record_type.value_field
        if field is None:
            return None
        raw = self._bytes(window, field)
        return decode_field(field, raw) if len(raw) == field.size else None

    def _choice(self, window: bytes, field: Field) -> str | None:
        number = int.from_bytes(self._bytes(window, field), "little")
        return field.choice(number)

    def _bytes(self, window: bytes, field: Field) -> bytes:
        start = field.offset - self.offset
        return window[start : start + field.size] if start >= 0 else b""

    def _common(self, name: str) -> Field:
        field = self.types.common.get(name)
        if field is None:
            raise UnknownLayout(self.types.types[0].address, f"{name} is not in the same place in all record types")
        return field


def _round_up(size: int) -> int:
    return (size + 7) // 8 * 8

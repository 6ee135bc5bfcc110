"""Values of a record's fields, read from the IOC's memory."""

from __future__ import annotations

from collections.abc import Sequence

from epicsmon.events import Value
from epicsmon.ioc.arrays import DEFAULT_LIMIT, array_field, read_array
from epicsmon.ioc.database import Record
from epicsmon.ioc.dbf import DbfType
from epicsmon.ioc.links import read_link
from epicsmon.ioc.memory import Memory, MemoryView
from epicsmon.ioc.recordtypes import RecordType
from epicsmon.ioc.values import decode_field, decode_time
from epicsmon.text import decode

_STATES = ("ZR", "ON", "TW", "TH", "FR", "FV", "SX", "SV", "EI", "NI", "TE", "EL", "TV", "TT", "FT", "FF")
"""The first two letters of a multi-bit record's states: ZRST, ONST ... FFST are their strings (mbbiRecord.dbd)."""


def read_value(memory: Memory, record: Record, name: str = "VAL", limit: int = DEFAULT_LIMIT) -> Value:
    """The value of one field now; None when the type has no such field or it cannot be read.

    Arrays are read through their pointers, at most `limit` elements. ENUM, MENU and DEVICE are numbers. A link is the
    text that CA clients see. TIME is nanoseconds since the Unix epoch.
    """
    field = record.record_type.field(name)
    if field is None:
        return None
    array = array_field(record.record_type, name)
    if array is not None:
        return read_array(memory, record.address, array, limit)
    if field.dbf.is_link:
        link = read_link(MemoryView(memory), record.address, field)
        return None if link is None else str(link)
    [raw] = memory.read_many([(record.address + field.offset, field.size)])
    if raw is None:
        return None
    return decode_time(raw) if name == "TIME" and field.dbf is DbfType.NOACCESS else decode_field(field, raw)


def read_values(memory: Memory, records: Sequence[Record], name: str = "VAL") -> list[Value]:
    """The scalar field `name` of many records in one batched read; None for arrays, links and what is not readable."""
    fields = [record.record_type.field(name) for record in records]
    ranges = [
        (0, 0) if field is None else (record.address + field.offset, field.size)
        for record, field in zip(records, fields)
    ]
    parts = memory.read_many(ranges)
    return [None if field is None or raw is None else decode_field(field, raw) for field, raw in zip(fields, parts)]


def read_enum_choices(memory: Memory, record: Record) -> tuple[str, ...] | None:
    """The strings of a record's states, which its ENUM field VAL numbers: ZNAM and ONAM, or ZRST to FFST.

    Empty strings at the end are left out. None for a type without such fields.
    """
    names = _state_fields(record.record_type)
    if names is None:
        return None
    fields = [record.record_type.by_name[name] for name in names]
    parts = memory.read_many([(record.address + field.offset, field.size) for field in fields])
    found = [decode(raw or b"") for raw in parts]
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def _state_fields(record_type: RecordType) -> tuple[str, ...] | None:
    for names in (("ZNAM", "ONAM"), tuple(state + "ST" for state in _STATES)):
        if all(name in record_type.by_name for name in names):
            return names
    return None

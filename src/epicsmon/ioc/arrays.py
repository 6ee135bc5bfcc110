"""Fields whose value lies outside the record: arrays and long strings behind a pointer.

Such a field is DBF_NOACCESS in the tables and its record support says at run time what it is (cvt_dbaddr and
get_array_info in the record's .c file). The pieces they use are ordinary fields, and the same names mean the same in
all of Base and in the sites' records made after its example:

=============================  =========================================================================
waveform, aai, aao, subArray   BPTR, NORD of NELM elements of FTVL
compress                       BPTR, NUSE of NSAM doubles, a ring whose next free element is OFF; BALG
histogram                      BPTR, NELM unsigned longs
lsi, lso, printf               VAL points to SIZV characters, LEN of them used with the NUL
aSub                           A..U: NEA of NOA elements of FTA; VALA..VALU: NEVA of NOVA elements of FTVA
=============================  =========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

from epicsmon.events import Value
from epicsmon.ioc.dbf import DbfType
from epicsmon.ioc.memory import Memory
from epicsmon.ioc.recordtypes import Field, RecordType
from epicsmon.ioc.values import decode_array, element_size
from epicsmon.text import decode

DEFAULT_LIMIT = 1000
"""Elements read of an array unless told."""


@dataclass(frozen=True)
class ArrayField:
    """Where a record keeps an array: the fields that hold its address, length, room and type of element.

    `element` is the type when it is fixed, otherwise `element_field` (a menuFtype) tells. `next_free` and `order` are
    OFF and BALG of a ring. `is_text` marks a long string.
    """

    pointer: Field
    count: Field
    capacity: Field | None
    element: DbfType | None = None
    element_field: Field | None = None
    next_free: Field | None = None
    order: Field | None = None
    is_text: bool = False

    def element_type(self, number: int | None) -> DbfType | None:
        """The type of the elements, given the value of `element_field`."""
        if self.element is not None:
            return self.element
        name = None if self.element_field is None else self.element_field.choice(number)
        try:
            return None if name is None else DbfType(name)
        except ValueError:
            return None


def array_field(record_type: RecordType, name: str = "VAL") -> ArrayField | None:
    """Where records of this type keep the array that field `name` stands for; None when the field is no array."""
    field = record_type.field(name)
    if field is None or field.dbf is not DbfType.NOACCESS:
        return None
    find = record_type.field
    pointer = find("BPTR")
    if name in ("VAL", "BPTR") and pointer is not None:
        return _buffer(record_type, pointer)
    length = find("LEN")
    if name == "VAL" and length is not None and field.size == 8:
        return ArrayField(field, length, find("SIZV"), element=DbfType.CHAR, is_text=True)
    suffix = "V" + name[3:] if name.startswith("VAL") else name
    kind, count = find("FT" + suffix), find("NE" + suffix)
    if kind is not None and count is not None:
        return ArrayField(field, count, find("NO" + suffix), element_field=kind)
    return None


def _buffer(record_type: RecordType, pointer: Field) -> ArrayField | None:
    find = record_type.field
    used, kind = find("NORD"), find("FTVL")
    if used is not None and kind is not None:
        return ArrayField(pointer, used, find("NELM"), element_field=kind)
    ring, offset = find("NUSE"), find("OFF")
    if ring is not None and offset is not None:
        return ArrayField(pointer, ring, find("NSAM"), element=DbfType.DOUBLE, next_free=offset, order=find("BALG"))
    length = find("NELM")
    if length is not None and record_type.field("SGNL") is not None:
        return ArrayField(pointer, length, None, element=DbfType.ULONG)
    return None


def read_array(memory: Memory, record_address: int, array: ArrayField, limit: int = DEFAULT_LIMIT) -> Value:
    """The array of one record, at most `limit` elements: a tuple, bytes for characters, str for a long string.

    None when it cannot be read. The record may process meanwhile: length and elements are each read at once, not
    together.
    """
    wanted = (array.pointer, array.count, array.capacity, array.element_field, array.next_free, array.order)
    present = [field for field in wanted if field is not None]
    parts = memory.read_many([(record_address + field.offset, field.size) for field in present])
    if None in parts:
        return None
    by_field = {field: int.from_bytes(part or b"", "little") for field, part in zip(present, parts)}

    def number(field: Field | None) -> int | None:
        return None if field is None else by_field[field]

    element = array.element_type(number(array.element_field))
    size = None if element is None else element_size(element)
    if element is None or size is None:
        return None
    room = by_field[array.count] if array.capacity is None else by_field[array.capacity]
    count = max(0, min(by_field[array.count], room, limit))
    address = by_field[array.pointer]
    if not count:
        return "" if array.is_text else decode_array(element, b"")
    first = 0
    if array.next_free is not None:
        first = _ring_start(by_field[array.next_free], by_field[array.count], room, number(array.order) or 0)
    head = min(count, room - first)
    raw = memory.read_many([(address + first * size, head * size), (address, (count - head) * size)])
    if raw[0] is None or raw[1] is None:
        return None
    joined = raw[0] + raw[1]
    return decode(joined) if array.is_text else decode_array(element, joined)


def _ring_start(next_free: int, used: int, room: int, order: int) -> int:
    """The index of a compress record's first element: the oldest in a FIFO (BALG 0), the newest in a LIFO."""
    return (next_free if order else next_free - used) % room

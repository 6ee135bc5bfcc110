"""The record types of an IOC, learned from its own tables: every field's name, type, offset and size.

pdbbase leads to a dbRecordType for each type, and that to a dbFldDes for each field, those of dbCommon included: no
debug information and no table of ours is needed, and record types a site wrote itself are as good as Base's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from epicsmon.ioc import layout
from epicsmon.ioc.dbf import DbfNumbering, DbfType
from epicsmon.ioc.errors import DatabaseNotLoaded, UnknownLayout, UnreadableMemory
from epicsmon.ioc.memory import MemoryView
from epicsmon.text import decode

_MAX_NAME = 60
_MAX_TEXT = 255


@dataclass(frozen=True)
class Field:
    """One field of a record type: dbFldDes.

    `offset` and `size` are bytes within the record; `descriptor` is the address of its dbFldDes in the IOC (what
    dbAddr.pfldDes holds). `choices` are the strings of a MENU or DEVICE field. `declaration` is the C declaration of a
    NOACCESS field. `process_passive` says that a put from outside processes a passive record.
    """

    name: str
    dbf: DbfType
    offset: int
    size: int
    special: int
    process_passive: bool
    descriptor: int
    choices: tuple[str, ...] | None = None
    declaration: str | None = None

    def choice(self, number: int | None) -> str | None:
        """The string of a menu's or device's number; None when it has none."""
        if self.choices is None or number is None or not 0 <= number < len(self.choices):
            return None
        return self.choices[number]


@dataclass(frozen=True)
class RecordType:
    """One record type: dbRecordType. `address` is what every record of the type has in RDES; `size` is in bytes."""

    name: str
    address: int
    size: int
    fields: tuple[Field, ...]
    value_field: Field | None

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def links(self) -> tuple[Field, ...]:
        """The input, output and forward links."""
        return tuple(field for field in self.fields if field.dbf.is_link)

    @cached_property
    def _by_offset(self) -> tuple[list[int], list[Field]]:
        ordered = sorted((field for field in self.fields if field.size), key=lambda field: field.offset)
        return [field.offset for field in ordered], ordered

    def field(self, name: str) -> Field | None:
        """The field with this name, None when the type has none."""
        return self.by_name.get(name)

    def field_at(self, offset: int) -> Field | None:
        """The field in which the byte at `offset` from the start of a record lies; None between fields."""
        offsets, fields = self._by_offset
        found = fields[bisect_right(offsets, offset) - 1] if offsets and offset >= offsets[0] else None
        return found if found is not None and offset < found.offset + found.size else None


@dataclass(frozen=True)
class RecordTypes(Mapping[str, RecordType]):
    """All record types of an IOC by name, and the Base's numbering of field types."""

    types: tuple[RecordType, ...]
    numbering: DbfNumbering

    @cached_property
    def _by_name(self) -> Mapping[str, RecordType]:
        return {record_type.name: record_type for record_type in self.types}

    @cached_property
    def _by_address(self) -> Mapping[int, RecordType]:
        return {record_type.address: record_type for record_type in self.types}

    @cached_property
    def _by_descriptor(self) -> Mapping[int, tuple[RecordType, Field]]:
        return {field.descriptor: (owner, field) for owner in self.types for field in owner.fields}

    @cached_property
    def common(self) -> Mapping[str, Field]:
        """The fields of dbCommon (NAME, PACT, STAT, SEVR, TIME, RDES ...), in the same place in every record.

        A dbd file begins every record type with dbCommon.dbd, and VAL or another field of its own follows.
        """
        found: dict[str, Field] = {}
        for same in zip(*(record_type.fields for record_type in self.types)):
            field = same[0]
            if field.name == "VAL" or len({(f.name, f.offset, f.size, f.dbf) for f in same}) > 1:
                break
            found[field.name] = field
        return found

    def at(self, address: int) -> RecordType | None:
        """The type whose dbRecordType is at `address`: what a record's RDES points to."""
        return self._by_address.get(address)

    def field_of(self, descriptor: int) -> tuple[RecordType, Field] | None:
        """The type and field of the dbFldDes at this address: what dbAddr.pfldDes points to."""
        return self._by_descriptor.get(descriptor)

    def __getitem__(self, name: str) -> RecordType:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self.types)


def read_record_types(view: MemoryView, pdbbase: int) -> RecordTypes:
    """Read the tables that the dbBase at `pdbbase` leads to.

    Types whose record support is not registered have no offsets yet (their rec_size is 0) and no records: they are left
    out, and when no other is there DatabaseNotLoaded is raised. Raises UnknownLayout when the tables do not check out:
    in each type the fields must name that type as their owner and lie within a record, NAME must be at 0 and RDES and
    RSET must be there. Raises UnreadableMemory for wild pointers.
    """
    nodes = layout.ell_nodes(view, pdbbase + layout.BASE_RECORD_TYPE_LIST, layout.MAX_RECORD_TYPES)
    registered = [node for node in nodes if view.unpack(layout.RECORD_TYPE, node)[-1] != 0]
    if not registered:
        raise DatabaseNotLoaded("no record type is registered yet")
    types = _Reader(view, _numbering(view, registered[0])).record_types(registered)
    if "RDES" not in types.common:
        raise UnknownLayout(pdbbase, "RDES is not in the same place in all record types")
    return types


def _numbering(view: MemoryView, node: int) -> DbfNumbering:
    """Which numbers this Base has for field types, told by that of RSET."""
    _, count, _, table, _ = view.unpack(layout.RECORD_TYPE, node)
    if not 0 < count <= layout.MAX_FIELDS:
        raise UnknownLayout(node, f"a record type with {count} fields")
    for descriptor in view.pointers(table, count):
        name, _, _, _, _, number, *_ = view.unpack(layout.FIELD, descriptor)
        if view.c_string(name, _MAX_NAME) == b"RSET":
            found = DbfNumbering.by_noaccess(number)
            if found is None:
                raise UnknownLayout(descriptor, f"field RSET has the unknown type number {number}")
            return found
    raise UnknownLayout(node, "no field RSET")


class _Reader:
    """One reading of all the tables: menus are shared by many fields and read once."""

    def __init__(self, view: MemoryView, numbering: DbfNumbering) -> None:
        self._view = view
        self._numbering = numbering
        self._menus: dict[int, tuple[str, ...] | None] = {}

    def record_types(self, addresses: list[int]) -> RecordTypes:
        return RecordTypes(tuple(self._record_type(address) for address in addresses), self._numbering)

    def _record_type(self, address: int) -> RecordType:
        view = self._view
        name_at, count, value_index, table, size = view.unpack(layout.RECORD_TYPE, address)
        name = decode(view.c_string(name_at, _MAX_NAME))
        if not 0 < count <= layout.MAX_FIELDS:
            raise UnknownLayout(address, f"record type {name} with {count} fields")
        devices = self._devices(address)
        fields = tuple(
            self._field(descriptor, address, index, size, devices)
            for index, descriptor in enumerate(view.pointers(table, count))
        )
        by_name = {field.name: field for field in fields}
        rdes = by_name.get("RDES")
        if "NAME" not in by_name or by_name["NAME"].offset != layout.RECORD_NAME:
            raise UnknownLayout(address, f"record type {name} does not begin with NAME")
        if rdes is None or rdes.dbf is not DbfType.NOACCESS or rdes.size != 8:
            raise UnknownLayout(address, f"record type {name} has no RDES")
        value = fields[value_index] if 0 <= value_index < count and fields[value_index].name == "VAL" else None
        return RecordType(name, address, size, fields, value or by_name.get("VAL"))

    def _field(self, descriptor: int, owner: int, index: int, record_size: int, devices: tuple[str, ...]) -> Field:
        view = self._view
        name_at, extra, its_owner, its_index, special, number, flags, private, size, offset = view.unpack(
            layout.FIELD, descriptor
        )
        name = decode(view.c_string(name_at, _MAX_NAME))
        dbf = self._numbering.dbf(number)
        if its_owner != owner or its_index != index:
            raise UnknownLayout(descriptor, f"field {name} belongs to another record type")
        if dbf is None:
            raise UnknownLayout(descriptor, f"field {name} has the unknown type number {number}")
        if offset + size > record_size:
            raise UnknownLayout(descriptor, f"field {name} ends after its record")
        choices = None
        if dbf is DbfType.MENU:
            choices = self._menu(private)
        elif dbf is DbfType.DEVICE:
            choices = devices
        declaration = self._text(extra) if dbf is DbfType.NOACCESS else None
        return Field(name, dbf, offset, size, special, bool(flags & 1), descriptor, choices, declaration)

    def _menu(self, address: int) -> tuple[str, ...] | None:
        """The choices of the dbMenu at `address`; None when there is none to read. A field can do without."""
        if address not in self._menus:
            self._menus[address] = self._read_menu(address)
        return self._menus[address]

    def _read_menu(self, address: int) -> tuple[str, ...] | None:
        view = self._view
        try:
            _, count, _, values = view.unpack(layout.MENU, address)
            if not 0 <= count <= layout.MAX_CHOICES:
                return None
            return tuple(decode(view.c_string(at, _MAX_TEXT)) for at in view.pointers(values, count))
        except UnreadableMemory:
            return None

    def _devices(self, record_type: int) -> tuple[str, ...]:
        """The choices of DTYP: the type's devList in its order (so numbered by dbGetDeviceMenu, dbStaticLib.c)."""
        view = self._view
        nodes = list(layout.ell_nodes(view, record_type + layout.RECORD_TYPE_DEVICES, layout.MAX_CHOICES))
        choices = (view.pointer(node + layout.DEVICE_SUPPORT_CHOICE) for node in nodes)
        return tuple(decode(view.c_string(choice, _MAX_TEXT)) for choice in choices)

    def _text(self, address: int) -> str | None:
        try:
            return " ".join(decode(self._view.c_string(address, _MAX_TEXT)).split()) if address else None
        except UnreadableMemory:
            return None

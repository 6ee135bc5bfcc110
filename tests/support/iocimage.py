"""The memory of an IOC, built byte by byte: what EPICS Base would have laid out, without an EPICS Base.

The structures are written from the C declarations (ellLib.h, dbBase.h, link.h), not through epicsmon's own tables, so
that a wrong offset there fails the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

_SMALL = ("STRING", "CHAR", "UCHAR", "SHORT", "USHORT", "LONG", "ULONG")
_REST = ("FLOAT", "DOUBLE", "ENUM", "MENU", "DEVICE", "INLINK", "OUTLINK", "FWDLINK", "NOACCESS")
OLD_NUMBERS = {name: number for number, name in enumerate((*_SMALL, *_REST))}
NEW_NUMBERS = {name: number for number, name in enumerate((*_SMALL, "INT64", "UINT64", *_REST))}


@dataclass(frozen=True)
class FieldSpec:
    """A field as a dbd file declares it."""

    name: str
    dbf: str
    size: int
    menu: str | None = None
    extra: str | None = None
    process_passive: bool = False


@dataclass(frozen=True)
class TypeSpec:
    """A record type: its own fields (dbCommon comes before them) and its device supports."""

    name: str
    fields: tuple[FieldSpec, ...]
    devices: tuple[str, ...] = ()
    registered: bool = True


@dataclass(frozen=True)
class RecordSpec:
    """A record, its aliases and the bytes of its fields."""

    name: str
    record_type: str
    aliases: tuple[str, ...] = ()
    values: dict[str, bytes] = field(default_factory=dict)


def common_fields(link_size: int = 80) -> tuple[FieldSpec, ...]:
    """A small dbCommon: enough of it to be one."""
    return (
        FieldSpec("NAME", "STRING", 61),
        FieldSpec("DESC", "STRING", 41),
        FieldSpec("SCAN", "MENU", 2, menu="menuScan"),
        FieldSpec("DTYP", "DEVICE", 2),
        FieldSpec("STAT", "MENU", 2, menu="menuAlarmStat"),
        FieldSpec("SEVR", "MENU", 2, menu="menuAlarmSevr"),
        FieldSpec("PACT", "UCHAR", 1),
        FieldSpec("RSET", "NOACCESS", 8, extra="struct typed_rset *rset"),
        FieldSpec("RDES", "NOACCESS", 8, extra="struct dbRecordType *rdes"),
        FieldSpec("TIME", "NOACCESS", 8, extra="epicsTimeStamp\t time"),
        FieldSpec("FLNK", "FWDLINK", link_size),
    )


MENUS = {
    "menuScan": ("Passive", "Event", "I/O Intr", "1 second"),
    "menuAlarmStat": ("NO_ALARM", "READ", "WRITE", "HIHI"),
    "menuAlarmSevr": ("NO_ALARM", "MINOR", "MAJOR", "INVALID"),
    "menuFtype": ("STRING", "CHAR", "UCHAR", "SHORT", "USHORT", "LONG", "ULONG", "FLOAT", "DOUBLE", "ENUM"),
}


class BytesMemory:
    """Mapped pieces of an address space: address -> bytes. Counts how often it is asked."""

    def __init__(self, pieces: dict[int, bytes]) -> None:
        self.pieces = pieces
        self.calls = 0

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | None]:
        self.calls += 1
        return [self._read(address, size) for address, size in ranges]

    def _read(self, address: int, size: int) -> bytes | None:
        for start, data in self.pieces.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        return None


class IocImage:
    """A heap at `base` in which structures are placed one after the other, and the dbBase made of them."""

    def __init__(
        self,
        types: Sequence[TypeSpec],
        records: Sequence[RecordSpec],
        *,
        numbers: dict[str, int] | None = None,
        link_size: int = 80,
        base: int = 0x5555_0000_1000,
    ) -> None:
        self.base = base
        self.heap = bytearray()
        self.numbers = NEW_NUMBERS if numbers is None else numbers
        self.common = common_fields(link_size)
        self.type_addresses: dict[str, int] = {}
        self.offsets: dict[tuple[str, str], int] = {}
        self.record_sizes: dict[str, int] = {}
        self.record_addresses: dict[str, int] = {}
        self.descriptors: dict[tuple[str, str], int] = {}
        self._lists: dict[int, list[int]] = {}
        self.menus = {name: self._menu(name, choices) for name, choices in MENUS.items()}
        self.pdbbase = self.allocate(bytes(200))
        for spec in types:
            self._record_type(spec)
        for record in records:
            self._record(record)

    def memory(self) -> BytesMemory:
        """The image as it stands; its mapping ends with a page, as mappings do."""
        return BytesMemory({self.base: bytes(self.heap) + bytes(-(self.base + len(self.heap)) % 4096)})

    def allocate(self, data: bytes) -> int:
        """Place `data` at the next address that malloc would give."""
        self.heap += bytes(-len(self.heap) % 16)
        address = self.base + len(self.heap)
        self.heap += data
        return address

    def text(self, value: str | bytes) -> int:
        """Place a C string."""
        return self.allocate((value.encode() if isinstance(value, str) else value) + b"\0")

    def write(self, address: int, data: bytes) -> None:
        """Overwrite what is at `address`."""
        at = address - self.base
        assert 0 <= at <= len(self.heap) - len(data)
        self.heap[at : at + len(data)] = data

    def write_pointer(self, address: int, value: int) -> None:
        """Overwrite a pointer."""
        self.write(address, struct.pack("<Q", value))

    def append(self, ell_list: int, node: int) -> None:
        """ellAdd: node {next, prev} at the end of the ELLLIST {first, last, count}."""
        members = self._lists.setdefault(ell_list, [])
        previous = members[-1] if members else 0
        self.write(node, struct.pack("<QQ", 0, previous))
        if previous:
            self.write_pointer(previous, node)
        members.append(node)
        self.write(ell_list, struct.pack("<QQi", members[0], node, len(members)))

    def field_address(self, record: str, record_type: str, name: str) -> int:
        """Where a field of a record lies."""
        return self.record_addresses[record] + self.offsets[record_type, name]

    def link(self, kind: int, pvname: str, mask: int, *, size: int = 80) -> bytes:
        """A struct link to a PV."""
        name = self.text(pvname)
        if size == 80:
            return struct.pack("<QhH4xQQ16xQQQhh4x", 0, kind, 0, 0, 0, name, 0, 0, mask, 0)
        return struct.pack("<QQQQhh4xh14x", name, 0, 0, 0, mask, 0, kind)

    def constant_link(self, kind: int, text: str, *, size: int = 80) -> bytes:
        """A struct link that holds a string."""
        at = self.text(text)
        if size == 80:
            return struct.pack("<QhH4xQQQ40x", 0, kind, 0, 0, 0, at)
        return struct.pack("<Q32xh14x", at, kind)

    def _menu(self, name: str, choices: Sequence[str]) -> int:
        names = self.allocate(struct.pack(f"<{len(choices)}Q", *(self.text(name + choice) for choice in choices)))
        values = self.allocate(struct.pack(f"<{len(choices)}Q", *(self.text(choice) for choice in choices)))
        return self.allocate(struct.pack("<QQQi4xQQ", 0, 0, self.text(name), len(choices), names, values))

    def _record_type(self, spec: TypeSpec) -> None:
        fields = self.common + spec.fields
        address = self.allocate(bytes(192))
        descriptors, offset = [], 0
        for index, one in enumerate(fields):
            alignment = 1 if one.dbf == "STRING" else min(8, one.size & -one.size)
            offset += -offset % alignment
            descriptors.append(self._field(spec, one, address, index, offset if spec.registered else 0))
            self.offsets[spec.name, one.name] = offset
            offset += one.size
        size = offset + -offset % 8
        table = self.allocate(struct.pack(f"<{len(descriptors)}Q", *descriptors))
        value = next((n for n, one in enumerate(fields) if one.name == "VAL"), 0)
        self.write_pointer(address + 112, self.text(spec.name))
        self.write(address + 120, struct.pack("<h", len(fields)))
        self.write(address + 160, struct.pack("<h", value))
        self.write_pointer(address + 168, table)
        self.write(address + 184, struct.pack("<i", size if spec.registered else 0))
        for choice in spec.devices:
            self.append(address + 64, self.allocate(struct.pack("<QQQQ", 0, 0, self.text("dev"), self.text(choice))))
        self.append(self.pdbbase + 24, address)
        self.type_addresses[spec.name] = address
        self.record_sizes[spec.name] = size

    def _field(self, spec: TypeSpec, one: FieldSpec, owner: int, index: int, offset: int) -> int:
        address = self.allocate(
            struct.pack(
                "<QQQQhhiIiHhiQQHH4x",
                self.text("prompt of " + one.name),
                self.text(one.name),
                self.text(one.extra) if one.extra else 0,
                owner,
                index,
                0,
                self.numbers[one.dbf],
                int(one.process_passive),
                0,
                0,
                0,
                0,
                0,
                self.menus[one.menu] if one.menu else 0,
                one.size if spec.registered or one.dbf == "STRING" else 0,
                offset,
            )
        )
        self.descriptors[spec.name, one.name] = address
        return address

    def _record(self, spec: RecordSpec) -> None:
        owner = self.type_addresses[spec.record_type]
        record = self.allocate(bytes(self.record_sizes[spec.record_type]))
        self.record_addresses[spec.name] = record
        self.write(record, spec.name.encode())
        self.write_pointer(record + self.offsets[spec.record_type, "RDES"], owner)
        for name, data in spec.values.items():
            self.write(record + self.offsets[spec.record_type, name], data)
        self._node(owner, record, record, 1 | (4 if spec.aliases else 0))
        for alias in spec.aliases:
            self._node(owner, record, self.text(alias), 1 | 2)

    def _node(self, owner: int, record: int, name: int, flags: int) -> None:
        node = self.allocate(struct.pack("<QQQQQQiiI12x", 0, 0, record, name, 0, 0, 0, 0, flags))
        self.append(owner + 40, node)


CALC = TypeSpec(
    "calc",
    (
        FieldSpec("VAL", "DOUBLE", 8),
        FieldSpec("CALC", "STRING", 80, process_passive=True),
        FieldSpec("INPA", "INLINK", 80),
        FieldSpec("EGU", "STRING", 16),
        FieldSpec("PREC", "SHORT", 2),
    ),
)
AO = TypeSpec(
    "ao", (FieldSpec("VAL", "DOUBLE", 8), FieldSpec("OUT", "OUTLINK", 80)), ("Soft Channel", "Raw Soft Channel")
)
WAVEFORM = TypeSpec(
    "waveform",
    (
        FieldSpec("VAL", "NOACCESS", 8, extra="void * val"),
        FieldSpec("NELM", "ULONG", 4),
        FieldSpec("FTVL", "MENU", 2, menu="menuFtype"),
        FieldSpec("NORD", "ULONG", 4),
        FieldSpec("BPTR", "NOACCESS", 8, extra="void * bptr"),
    ),
)
COMPRESS = TypeSpec(
    "compress",
    (
        FieldSpec("VAL", "NOACCESS", 8, extra="void * val"),
        FieldSpec("BALG", "MENU", 2),
        FieldSpec("NSAM", "ULONG", 4),
        FieldSpec("OFF", "ULONG", 4),
        FieldSpec("NUSE", "ULONG", 4),
        FieldSpec("BPTR", "NOACCESS", 8, extra="double *bptr"),
    ),
)
LSI = TypeSpec(
    "lsi",
    (
        FieldSpec("VAL", "NOACCESS", 8, extra="char *val"),
        FieldSpec("SIZV", "USHORT", 2),
        FieldSpec("LEN", "ULONG", 4),
    ),
)
_STATES = ("ZR", "ON", "TW", "TH", "FR", "FV", "SX", "SV", "EI", "NI", "TE", "EL", "TV", "TT", "FT", "FF")
MBBI = TypeSpec(
    "mbbi", (FieldSpec("VAL", "ENUM", 2), *(FieldSpec(state + "ST", "STRING", 26) for state in _STATES))
)
TYPES = (CALC, AO, WAVEFORM, COMPRESS, LSI, MBBI)

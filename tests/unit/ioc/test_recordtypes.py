from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ioc.database import Database
from epicsmon.ioc.dbf import DbfNumbering, DbfType
from epicsmon.ioc.errors import DatabaseNotLoaded, UnknownLayout, UnreadableMemory
from epicsmon.ioc.memory import MemoryView
from epicsmon.ioc.recordtypes import RecordTypes, read_record_types
from tests.support.iocimage import (
    CALC,
    MENUS,
    NEW_NUMBERS,
    OLD_NUMBERS,
    TYPES,
    FieldSpec,
    IocImage,
    TypeSpec,
)


def read(image: IocImage) -> RecordTypes:
    return read_record_types(MemoryView(image.memory()), image.pdbbase)


@pytest.mark.parametrize("numbers", [NEW_NUMBERS, OLD_NUMBERS], ids=["3.16 and later", "before 3.16"])
def test_every_field_is_learned_in_either_numbering(numbers: dict[str, int]) -> None:
    image = IocImage(TYPES, [], numbers=numbers)
    types = read(image)
    assert list(types) == [spec.name for spec in TYPES]
    assert types.numbering.has_int64 == (numbers is NEW_NUMBERS)
    for spec in TYPES:
        record_type = types[spec.name]
        assert record_type.address == image.type_addresses[spec.name]
        assert record_type.size == image.record_sizes[spec.name]
        assert types.at(record_type.address) is record_type
        expected = [
            (one.name, one.dbf, image.offsets[spec.name, one.name], one.size, one.process_passive)
            for one in image.common + spec.fields
        ]
        assert [(f.name, f.dbf.value, f.offset, f.size, f.process_passive) for f in record_type.fields] == expected
        assert record_type.value_field is record_type.field("VAL")
        for one in record_type.fields:
            assert types.field_of(image.descriptors[spec.name, one.name]) == (record_type, one)


def test_menus_devices_and_declarations() -> None:
    types = read(IocImage(TYPES, []))
    ao = types["ao"]
    assert ao.by_name["SCAN"].choices == MENUS["menuScan"]
    assert ao.by_name["DTYP"].choices == ("Soft Channel", "Raw Soft Channel")
    assert ao.by_name["DTYP"].choice(1) == "Raw Soft Channel"
    assert ao.by_name["DTYP"].choice(2) is None
    assert types["calc"].by_name["DTYP"].choices == ()
    assert ao.by_name["TIME"].declaration == "epicsTimeStamp time"
    assert ao.by_name["VAL"].declaration is None


def test_common_fields_end_before_the_types_own() -> None:
    image = IocImage(TYPES, [])
    assert list(read(image).common) == [one.name for one in image.common]
    alone = IocImage([CALC], [])
    assert list(read(alone).common) == [one.name for one in alone.common]


def test_links_and_the_field_at_an_offset() -> None:
    image = IocImage(TYPES, [])
    calc = read(image)["calc"]
    assert [one.name for one in calc.links] == ["FLNK", "INPA"]
    for one in calc.fields:
        assert calc.field_at(one.offset) is one
        assert calc.field_at(one.offset + one.size - 1) is one
    value = calc.by_name["VAL"]
    assert calc.field_at(value.offset - 1) is calc.by_name["FLNK"]
    assert calc.field_at(-1) is None
    assert calc.field_at(calc.size) is None
    # STAT and SEVR follow PACT, one byte; the padding behind it is nobody's.
    pact = calc.by_name["PACT"]
    assert calc.field_at(pact.offset + 1) is None


def test_types_without_record_support_are_left_out() -> None:
    loaded = TypeSpec("unregistered", (FieldSpec("VAL", "DOUBLE", 8),), registered=False)
    assert list(read(IocImage([loaded, CALC], []))) == ["calc"]
    with pytest.raises(DatabaseNotLoaded):
        read(IocImage([loaded], []))
    with pytest.raises(DatabaseNotLoaded):
        read(IocImage([], []))


def damage(kind: str) -> IocImage:
    image = IocImage([CALC], [])
    calc = image.type_addresses["calc"]
    rset = image.descriptors["calc", "RSET"]
    value = image.descriptors["calc", "VAL"]
    edits = {
        "rset has no known number": (rset + 36, struct.pack("<i", 16)),
        "no fields": (calc + 120, struct.pack("<h", 0)),
        "too many fields": (calc + 120, struct.pack("<h", 32767)),
        "a foreign field": (value + 24, struct.pack("<Q", calc + 8)),
        "a field out of place": (value + 32, struct.pack("<h", 1)),
        "a field beyond its record": (value + 74, struct.pack("<H", 60_000)),
        "a field of no type": (value + 36, struct.pack("<i", 18)),
        "a negative field type": (value + 36, struct.pack("<i", -1)),
        "name elsewhere": (image.descriptors["calc", "NAME"] + 74, struct.pack("<H", 8)),
        "no record types in the list but a count": (image.pdbbase + 24 + 16, struct.pack("<i", -1)),
        "a list that meets itself": (calc, struct.pack("<Q", calc)),
        "a device list that meets itself": (calc + 64, struct.pack("<QQi", calc + 64, calc + 64, 1)),
    }
    image.write(*edits[kind])
    return image


@pytest.mark.parametrize(
    "kind",
    [
        "rset has no known number",
        "no fields",
        "too many fields",
        "a foreign field",
        "a field out of place",
        "a field beyond its record",
        "a field of no type",
        "a negative field type",
        "name elsewhere",
        "no record types in the list but a count",
        "a list that meets itself",
        "a device list that meets itself",
    ],
)
def test_tables_that_do_not_check_out_are_refused(kind: str) -> None:
    with pytest.raises(UnknownLayout):
        read(damage(kind))


def test_a_menu_that_cannot_be_read_costs_only_its_strings() -> None:
    image = IocImage([CALC], [])
    image.write_pointer(image.descriptors["calc", "SCAN"] + 64, 0x10)
    assert read(image)["calc"].by_name["SCAN"].choices is None


@pytest.mark.parametrize("address", [0, 8, 0x10_0000, (1 << 64) - 8])
def test_a_wild_pdbbase_is_an_error(address: int) -> None:
    with pytest.raises((UnknownLayout, UnreadableMemory)):
        Database(IocImage(TYPES, []).memory(), address)


@given(st.sampled_from([NEW_NUMBERS, OLD_NUMBERS]), st.integers(-3, 30))
def test_numberings(numbers: dict[str, int], number: int) -> None:
    numbering = DbfNumbering.by_noaccess(numbers["NOACCESS"])
    assert numbering is not None
    names = {value: name for name, value in numbers.items()}
    found = numbering.dbf(number)
    assert (None if found is None else found.value) == names.get(number)
    if found is not None:
        assert numbering.number(found) == number
        buffers = numbers["ENUM"] + 1
        assert numbering.dbr(number) is (found if number < buffers else None)
    else:
        assert numbering.dbr(number) is None


def test_numbering_is_told_by_noaccess_only() -> None:
    assert [number for number in range(-2, 40) if DbfNumbering.by_noaccess(number) is not None] == [15, 17]
    old = DbfNumbering.by_noaccess(15)
    assert old is not None
    with pytest.raises(ValueError, match="not in"):
        old.number(DbfType.INT64)

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.ioc import DbfType, Field, RecordTypes, UnknownLayout
from epicsmon.ioc.database import Database
from epicsmon.trace.layout import NOT_READ, TraceLayout
from tests.support.calls import ALL_TYPES, ImageIoc
from tests.support.iocimage import NEW_NUMBERS, OLD_NUMBERS, IocImage, RecordSpec

MENU = struct.Struct("<H")


def ioc(**values: bytes) -> ImageIoc:
    return ImageIoc([RecordSpec("R", values.pop("type", b"calc").decode(), values=values)])


def outcome_of(**values: bytes) -> tuple[object, ...]:
    image = ioc(**values)
    subject = image.traced()
    found = subject.layout.read(image.window("R", subject))
    return (found.value, found.status, found.severity, found.active)


def test_a_window_tells_value_alarm_and_activity() -> None:
    values = {"VAL": struct.pack("<d", 2.5), "STAT": MENU.pack(3), "SEVR": MENU.pack(2), "PACT": b"\1"}
    assert outcome_of(**values) == (2.5, "HIHI", "MAJOR", True)
    assert outcome_of() == (0.0, "NO_ALARM", "NO_ALARM", False)


def test_every_record_type_has_its_own_value() -> None:
    assert outcome_of(type=b"longin", VAL=struct.pack("<i", -7))[0] == -7
    assert outcome_of(type=b"stringin", VAL=b"forty characters fill the whole field...")[0] == (
        "forty characters fill the whole field..."
    )
    assert outcome_of(type=b"mbbi", VAL=MENU.pack(11))[0] == 11


def test_a_value_that_lies_elsewhere_is_not_known() -> None:
    for kind in (b"waveform", b"compress", b"lsi", b"odd"):
        assert outcome_of(type=kind) == (None, "NO_ALARM", "NO_ALARM", False)


def test_a_number_that_no_menu_has_is_not_named() -> None:
    assert outcome_of(STAT=MENU.pack(77), SEVR=MENU.pack(9))[1:3] == (None, None)


def test_an_unknown_record_type_leaves_only_the_value_unknown() -> None:
    image = ioc(VAL=struct.pack("<d", 2.5), STAT=MENU.pack(1))
    subject = image.traced()
    window = bytearray(image.window("R", subject))
    at = subject.layout.types.common["RDES"].offset - subject.layout.offset
    window[at : at + 8] = struct.pack("<Q", 0xDEAD)
    found = subject.layout.read(bytes(window))
    assert (found.record_type, found.value, found.status, found.severity) == (None, None, "READ", "NO_ALARM")


@given(st.binary(max_size=400))
def test_bytes_that_are_no_window_tell_nothing_and_do_no_harm(data: bytes) -> None:
    layout = ioc().traced().layout
    found = layout.read(data)
    if len(data) < layout.certain_size:
        assert found == NOT_READ


def test_the_window_holds_every_value_that_lies_near() -> None:
    layout = ioc().traced().layout
    assert layout.offset % 8 == layout.size % 8 == 0
    assert 0 < layout.certain_size <= layout.size <= 512
    assert layout.offset + layout.certain_size <= min(record_type.size for record_type in layout.types.values())
    common = [layout.types.common[name] for name in ("STAT", "SEVR", "PACT", "RDES")]
    for field in (*common, value_of("stringin"), value_of("longin"), value_of("calc")):
        assert layout.offset <= field.offset
        assert field.offset + field.size <= layout.offset + layout.size
    for field in common:
        assert field.offset + field.size <= layout.offset + layout.certain_size


def test_of_a_window_cut_short_only_what_lies_behind_is_not_known() -> None:
    text = b"forty characters fill the whole field..."
    image = ioc(type=b"stringin", VAL=text, STAT=MENU.pack(3))
    subject = image.traced()
    window = image.window("R", subject)[: subject.layout.certain_size]
    found = subject.layout.read(window)
    assert (found.value, found.status) == (None, "HIHI")


def value_of(record_type: str) -> Field:
    field = ioc().record_types[record_type].value_field
    assert field is not None
    return field


@pytest.mark.parametrize("numbers", [NEW_NUMBERS, OLD_NUMBERS])
def test_element_sizes_are_those_of_the_bases_own_numbering(numbers: dict[str, int]) -> None:
    image = IocImage(ALL_TYPES, [], numbers=numbers)
    layout = TraceLayout(Database(image.memory(), image.pdbbase).record_types)
    sizes = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "LONG": 4, "FLOAT": 4, "DOUBLE": 8, "ENUM": 2, "STRING": 15}
    if "INT64" in numbers:
        sizes["INT64"] = sizes["UINT64"] = 8
    for name, size in sizes.items():
        assert layout.element_sizes >> (4 * numbers[name]) & 15 == size, name
    assert layout.element_sizes >> (4 * numbers["INLINK"]) & 15 == 0, "links are not put as values"
    assert layout.element_sizes < 1 << 64


@pytest.mark.parametrize("missing", ["STAT", "SEVR", "PACT", "RDES"])
def test_a_dbcommon_without_what_is_needed_is_named(missing: str) -> None:
    types = ioc().record_types
    without = RecordTypes(
        tuple(
            replace(one, fields=tuple(field for field in one.fields if field.name != missing)) for one in types.types
        ),
        types.numbering,
    )
    with pytest.raises(UnknownLayout, match=f"{missing} is not in the same place"):
        _ = TraceLayout(without).size


def test_values_of_a_type_without_a_value_field_are_not_known() -> None:
    types = ioc().record_types
    calc = replace(types["calc"], value_field=None)
    layout = TraceLayout(RecordTypes((calc, *(one for one in types.types if one.name != "calc")), types.numbering))
    image = ioc(VAL=struct.pack("<d", 2.5))
    found = layout.read(image.window("R", image.traced()))
    assert (found.record_type, found.value) == (calc, None)
    assert types["calc"].value_field is not None
    assert types["calc"].value_field.dbf is DbfType.DOUBLE

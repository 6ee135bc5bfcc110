from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.events import Value
from epicsmon.ioc.arrays import array_field
from epicsmon.ioc.database import Database
from epicsmon.ioc.fields import read_enum_choices, read_value
from epicsmon.ioc.links import Link, LinkKind, read_link
from epicsmon.ioc.memory import MemoryView
from tests.support.iocimage import AO, CALC, NEW_NUMBERS, OLD_NUMBERS, TYPES, IocImage, RecordSpec, TypeSpec


def value_of(image: IocImage, name: str, field: str = "VAL", limit: int = 1000) -> Value:
    database = Database(image.memory(), image.pdbbase)
    record = database.record(name)
    assert record is not None
    return read_value(image.memory(), record, field, limit)


def put(image: IocImage, record: str, record_type: str, **values: bytes) -> None:
    for name, raw in values.items():
        image.write(image.field_address(record, record_type, name), raw)


def waveform(kind: int, data: bytes, *, used: int, room: int) -> IocImage:
    image = IocImage(TYPES, [RecordSpec("W", "waveform")])
    put(
        image,
        "W",
        "waveform",
        BPTR=struct.pack("<Q", image.allocate(data)),
        FTVL=struct.pack("<H", kind),
        NORD=struct.pack("<I", used),
        NELM=struct.pack("<I", room),
    )
    return image


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (8, struct.pack("<4d", 1, 2.5, 3, 4), (1.0, 2.5, 3.0)),
        (5, struct.pack("<4i", -1, 2, 3, 4), (-1, 2, 3)),
        (1, b"abcd", b"abc"),
        (0, b"".join(text.ljust(40, b"\0") for text in (b"a", b"b", b"", b"d")), ("a", "b", "")),
        (9, struct.pack("<4H", 0, 1, 65535, 4), (0, 1, 65535)),
    ],
)
def test_waveforms_of_the_types_of_menuftype(kind: int, data: bytes, expected: Value) -> None:
    assert value_of(waveform(kind, data, used=3, room=4), "W") == expected


def test_a_waveform_is_read_no_farther_than_the_limit_or_its_room() -> None:
    data = struct.pack("<4d", 1, 2, 3, 4)
    assert value_of(waveform(8, data, used=4, room=4), "W", limit=2) == (1.0, 2.0)
    assert value_of(waveform(8, data, used=0xFFFF_FFFF, room=4), "W") == (1.0, 2.0, 3.0, 4.0)
    assert value_of(waveform(8, data, used=0, room=4), "W") == ()
    assert value_of(waveform(8, data, used=0xFFFF_FFFF, room=0xFFFF_FFFF), "W", limit=10_000) is None
    assert value_of(waveform(77, data, used=3, room=4), "W") is None


class CompressModel:
    """put_value of compressRecord.c, on a list."""

    def __init__(self, room: int, lifo: bool) -> None:
        self.buffer, self.room, self.lifo, self.off, self.used = [0.0] * room, room, lifo, 0, 0

    def put(self, value: float) -> None:
        if self.lifo:
            self.off = (self.off - 1) % self.room
            self.buffer[self.off] = value
        else:
            self.buffer[self.off] = value
            self.off = (self.off + 1) % self.room
        self.used = min(self.room, self.used + 1)


@given(st.integers(1, 9), st.booleans(), st.lists(st.integers(-100, 100).map(float), max_size=25), st.integers(1, 12))
def test_a_compress_ring_in_the_order_clients_see(room: int, lifo: bool, values: list[float], limit: int) -> None:
    model = CompressModel(room, lifo)
    for value in values:
        model.put(value)
    image = IocImage(TYPES, [RecordSpec("C", "compress")])
    put(
        image,
        "C",
        "compress",
        BPTR=struct.pack("<Q", image.allocate(struct.pack(f"<{room}d", *model.buffer))),
        BALG=struct.pack("<H", lifo),
        NSAM=struct.pack("<I", room),
        OFF=struct.pack("<I", model.off),
        NUSE=struct.pack("<I", model.used),
    )
    kept = values[-room:]
    assert value_of(image, "C", limit=limit) == tuple((kept[::-1] if lifo else kept)[:limit])


def test_long_strings() -> None:
    image = IocImage(TYPES, [RecordSpec("L", "lsi")])
    text = "a string of more than forty characters, which is what an lsi record is for"
    put(
        image,
        "L",
        "lsi",
        VAL=struct.pack("<Q", image.text(text)),
        SIZV=struct.pack("<H", 100),
        LEN=struct.pack("<I", len(text) + 1),
    )
    assert value_of(image, "L") == text
    assert value_of(image, "L", limit=8) == text[:8]
    put(image, "L", "lsi", LEN=struct.pack("<I", 0))
    assert value_of(image, "L") == ""


def test_only_arrays_are_arrays() -> None:
    types = Database(IocImage(TYPES, []).memory(), IocImage(TYPES, []).pdbbase).record_types
    assert array_field(types["calc"]) is None
    assert array_field(types["waveform"], "NORD") is None
    assert array_field(types["waveform"], "RDES") is None
    assert array_field(types["waveform"]) == array_field(types["waveform"], "BPTR")


def test_scalars_times_and_what_there_is_not() -> None:
    record = RecordSpec(
        "R",
        "calc",
        values={
            "VAL": struct.pack("<d", 2.5),
            "PREC": struct.pack("<h", -3),
            "EGU": b"mm",
            "SCAN": b"\3\0",
            "TIME": struct.pack("<II", 1, 5),
        },
    )
    image = IocImage(TYPES, [record])
    assert [value_of(image, "R", name) for name in ("VAL", "PREC", "EGU", "SCAN", "NAME", "TIME", "PACT")] == [
        2.5,
        -3,
        "mm",
        3,
        "R",
        631_152_001_000_000_005,
        0,
    ]
    assert value_of(image, "R", "NOSUCH") is None
    assert value_of(image, "R", "RDES") is None


def test_state_strings() -> None:
    image = IocImage(TYPES, [RecordSpec("M", "mbbi", values={"ZRST": b"off", "TWST": b"on"}), RecordSpec("C", "calc")])
    database = Database(image.memory(), image.pdbbase)
    states, calc = database.record("M"), database.record("C")
    assert states is not None
    assert calc is not None
    assert read_enum_choices(image.memory(), states) == ("off", "", "on")
    assert read_enum_choices(image.memory(), calc) is None


def links_image(size: int) -> IocImage:
    def sized(spec: TypeSpec) -> TypeSpec:
        resized = (replace(one, size=size) if one.dbf.endswith("LINK") else one for one in spec.fields)
        return replace(spec, fields=tuple(resized))

    numbers = NEW_NUMBERS if size == 80 else OLD_NUMBERS
    return IocImage([sized(CALC), sized(AO)], [RecordSpec("C", "calc")], numbers=numbers, link_size=size)


def link_of(image: IocImage, field: str) -> Link | None:
    record = Database(image.memory(), image.pdbbase).record("C")
    assert record is not None
    return read_link(MemoryView(image.memory()), record.address, record.record_type.by_name[field])


@pytest.mark.parametrize("size", [80, 56], ids=["3.16 and later", "before 3.16"])
@pytest.mark.parametrize(
    ("field", "kind", "mask", "text"),
    [
        ("INPA", 10, 0x80, "OTHER.VAL NPP NMS"),
        ("INPA", 10, 0x84 | 1, "OTHER.VAL PP MS"),
        ("INPA", 11, 0x80 | 0x8 | 2, "OTHER.VAL CA MSI"),
        ("INPA", 11, 0x80 | 0x10 | 3, "OTHER.VAL CP MSS"),
        ("INPA", 11, 0x80 | 0x20, "OTHER.VAL CPP NMS"),
        ("FLNK", 10, 0x4, "OTHER.VAL"),
        ("FLNK", 11, 0x48, "OTHER.VAL CA"),
    ],
)
def test_links_to_pvs(size: int, field: str, kind: int, mask: int, text: str) -> None:
    image = links_image(size)
    put(image, "C", "calc", **{field: image.link(kind, "OTHER.VAL", mask, size=size)})
    link = link_of(image, field)
    assert link is not None
    assert (link.kind, link.target, str(link)) == (LinkKind(kind), "OTHER.VAL", text)


@pytest.mark.parametrize("size", [80, 56], ids=["3.16 and later", "before 3.16"])
def test_links_that_hold_a_string(size: int) -> None:
    image = links_image(size)
    put(image, "C", "calc", INPA=image.constant_link(0, "5.25", size=size))
    assert link_of(image, "INPA") == Link(LinkKind.CONSTANT, text="5.25")
    put(image, "C", "calc", INPA=image.constant_link(12, "asyn(PORT,0)CMD", size=size))
    assert str(link_of(image, "INPA")) == "@asyn(PORT,0)CMD"
    assert link_of(image, "FLNK") == Link(LinkKind.CONSTANT, text=None)
    assert value_of(image, "C", "FLNK") == ""


def test_links_that_cannot_be() -> None:
    image = links_image(80)
    put(image, "C", "calc", INPA=image.link(99, "X", 0))
    assert link_of(image, "INPA") is None
    put(image, "C", "calc", INPA=struct.pack("<QhH4xQQ16xQQQhh4x", 0, 10, 0, 0, 0, 0x10, 0, 0, 0, 0))
    assert link_of(image, "INPA") is None
    assert link_of(image, "VAL") is None
    odd = links_image(64)
    assert link_of(odd, "INPA") is None

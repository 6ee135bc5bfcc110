from __future__ import annotations

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from epicsmon.ioc.database import Database
from epicsmon.ioc.errors import IocError
from epicsmon.ioc.fields import read_value, read_values
from tests.support.iocimage import CALC, NEW_NUMBERS, OLD_NUMBERS, TYPES, BytesMemory, IocImage, RecordSpec

names = st.text("abcXYZ0189:-_.{}", min_size=1, max_size=60)


@st.composite
def databases(draw: st.DrawFn) -> list[RecordSpec]:
    taken = draw(st.lists(names, unique=True, max_size=30))
    records: list[RecordSpec] = []
    while taken:
        name = taken.pop()
        aliases = tuple(taken.pop() for _ in range(min(len(taken), draw(st.integers(0, 2)))))
        records.append(RecordSpec(name, draw(st.sampled_from(TYPES)).name, aliases))
    return records


@given(databases(), st.sampled_from([NEW_NUMBERS, OLD_NUMBERS]), st.integers(0, 70_000))
def test_the_walk_finds_every_record_with_its_type_and_aliases(
    records: list[RecordSpec], numbers: dict[str, int], skew: int
) -> None:
    image = IocImage(TYPES, records, numbers=numbers, base=0x5555_0000_0000 + 16 * skew)
    database = Database(image.memory(), image.pdbbase)
    found = {(r.name, r.address, r.record_type.name, r.aliases) for r in database.records()}
    assert found == {(r.name, image.record_addresses[r.name], r.record_type, r.aliases) for r in records}
    for spec in records:
        for name in (spec.name, *spec.aliases):
            record = database.record(name)
            assert record is not None
            assert record.name == spec.name


@given(databases())
def test_a_record_is_named_by_its_pointer_without_a_walk(records: list[RecordSpec]) -> None:
    image = IocImage(TYPES, records)
    memory = image.memory()
    database = Database(memory, image.pdbbase)
    for spec in records:
        record = database.record_at(image.record_addresses[spec.name])
        assert record is not None
        assert (record.name, record.record_type.name) == (spec.name, spec.record_type)
    before = memory.calls
    assert [database.name_of(image.record_addresses[spec.name]) for spec in records] == [r.name for r in records]
    assert memory.calls == before, "a name once read is kept"


def test_many_pointers_are_one_read() -> None:
    records = [RecordSpec(f"R{n}", "calc") for n in range(200)]
    image = IocImage(TYPES, records)
    memory = image.memory()
    database = Database(memory, image.pdbbase)
    before = memory.calls
    addresses = [image.record_addresses[r.name] for r in records]
    found = database.records_at([*addresses, 0, *addresses, image.pdbbase])
    assert [None if r is None else r.name for r in found] == [
        *(r.name for r in records), None, *(r.name for r in records), None,
    ]  # fmt: skip
    assert memory.calls == before + 1


def test_pointers_that_are_no_records_have_no_name() -> None:
    image = IocImage(TYPES, [RecordSpec("R", "calc"), RecordSpec("S", "calc")])
    record = image.record_addresses["R"]
    image.write(record, bytes(61))
    image.write(image.record_addresses["S"], b"x" * 61)
    database = Database(image.memory(), image.pdbbase)
    for address in (0, 1, record, image.record_addresses["S"], record + 8, image.pdbbase, (1 << 64) - 1, -5):
        assert database.record_at(address) is None
    assert database.records() == ()
    assert database.record("R") is None


def test_refresh_reads_anew() -> None:
    image = IocImage(TYPES, [RecordSpec("BEFORE", "calc")])
    memory = image.memory()
    database = Database(memory, image.pdbbase)
    address = image.record_addresses["BEFORE"]
    assert database.name_of(address) == "BEFORE"
    assert len(database.records()) == 1
    image.write(address, b"AFTER\0")
    memory.pieces = image.memory().pieces
    assert database.name_of(address) == "BEFORE"
    database.refresh()
    assert database.name_of(address) == "AFTER"
    assert [r.name for r in database.records()] == ["AFTER"]


def test_a_record_list_that_meets_itself_or_leads_nowhere_ends_the_walk() -> None:
    for target in (None, 0x18, 0xFFFF_FFFF_FFFF_FFF0):
        image = IocImage(TYPES, [RecordSpec(f"R{n}", "calc") for n in range(5)])
        nodes = image._lists[image.type_addresses["calc"] + 40]
        image.write_pointer(nodes[3], nodes[1] if target is None else target)
        database = Database(image.memory(), image.pdbbase)
        assert [r.name for r in database.records()] == ["R0", "R1", "R2", "R3"]


def test_a_node_under_the_wrong_type_is_not_believed() -> None:
    image = IocImage(TYPES, [RecordSpec("R", "calc"), RecordSpec("S", "ao")])
    offset = image.offsets["calc", "RDES"]
    image.write_pointer(image.record_addresses["R"] + offset, image.type_addresses["ao"])
    assert [r.name for r in Database(image.memory(), image.pdbbase).records()] == ["S"]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_damaged_memory_gives_an_error_or_records_but_never_a_crash(seed: int, hits: int) -> None:
    draw = random.Random(seed)
    records = [RecordSpec(f"R{n}", draw.choice(TYPES).name, (f"A{n}",) if n % 3 == 0 else ()) for n in range(12)]
    image = IocImage(TYPES, records)
    addresses = [image.pdbbase, *image.type_addresses.values(), *image.record_addresses.values()]
    for _ in range(hits):
        at = draw.randrange(len(image.heap) - 8)
        what = draw.randrange(4)
        if what == 0:
            image.heap[at] = draw.randrange(256)
        elif what == 1:
            image.heap[at & ~7 : (at & ~7) + 8] = struct.pack("<Q", draw.choice(addresses))
        elif what == 2:
            image.heap[at & ~7 : (at & ~7) + 8] = struct.pack("<Q", image.base + draw.randrange(len(image.heap)))
        else:
            image.heap[at & ~7 : (at & ~7) + 8] = draw.randbytes(8)
    heap = bytes(image.heap)
    if draw.random() < 0.3:
        heap = heap[: draw.randrange(1, len(heap))]
    memory = BytesMemory({image.base: heap})
    try:
        database = Database(memory, image.pdbbase)
    except IocError:
        return
    found = database.records()
    assert len(found) <= 2 * len(heap) // 72
    for record in found:
        assert record.name.isprintable() or record.name
        record.name.encode("utf-8")
        for one in record.record_type.fields:
            read_value(memory, record, one.name, limit=50)
    read_values(memory, found, "SEVR")


def test_values_of_many_records_are_one_read() -> None:
    records = [
        RecordSpec(f"R{n}", CALC.name, values={"VAL": struct.pack("<d", n / 2), "SEVR": b"\2\0"}) for n in range(50)
    ]
    image = IocImage(TYPES, [*records, RecordSpec("WF", "waveform")])
    memory = image.memory()
    database = Database(memory, image.pdbbase)
    found = database.records()
    before = memory.calls
    assert read_values(memory, found) == [*(n / 2 for n in range(50)), None]
    assert memory.calls == before + 1
    assert read_values(memory, found, "SEVR") == [2] * 50 + [0]
    assert read_values(memory, found, "NOSUCH") == [None] * 51

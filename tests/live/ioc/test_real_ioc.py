"""A real IOC of every generation of Base that epicscorelibs published, against its own shell."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from epicsmon.ioc import (
    AlarmCondition,
    AlarmSeverity,
    DbfType,
    Ioc,
    NoSuchFunction,
    ProcessGone,
    find_ioc,
    find_iocs,
)
from epicsmon.ioc.links import LinkKind
from tests.support.epics import BASE_VERSIONS, EpicsLibraries, RealIoc

RECORDS = """
record(calc, "T:calc") {
    field(CALC, "A+1") field(INPA, "T:ao CP MS") field(INPB, "5.25") field(FLNK, "T:wf") field(EGU, "mm")
    alias("T:calcalias")
}
record(ao, "T:ao") {
    field(VAL, "3.5") field(PINI, "YES") field(OUT, "T:long PP") field(HIGH, "3") field(HSV, "MINOR")
    field(DESC, "an analogue output") alias("T:al1") alias("T:al2")
}
record(longout, "T:long") { field(VAL, "-7") }
record(waveform, "T:wf") { field(FTVL, "DOUBLE") field(NELM, "10") }
record(waveform, "T:wfl") { field(FTVL, "LONG") field(NELM, "4") }
record(waveform, "T:wfs") { field(FTVL, "STRING") field(NELM, "3") }
record(waveform, "T:wfc") { field(FTVL, "CHAR") field(NELM, "30") }
record(stringin, "T:str") { field(VAL, "hello there") }
record(bi, "T:bi") { field(ZNAM, "Off") field(ONAM, "On") field(VAL, "1") field(PINI, "YES") }
record(mbbo, "T:mbbo") { field(ZRST, "zero") field(ONST, "one") field(TWST, "two") field(VAL, "2") field(PINI, "YES") }
record(lsi, "T:lsi") { field(SIZV, "100") }
record(compress, "T:cmp") { field(INP, "T:ao") field(NSAM, "5") field(ALG, "Circular Buffer") }
record(histogram, "T:hist") { field(SVL, "T:ao") field(NELM, "4") field(ULIM, "10") field(LLIM, "0") }
record(int64out, "T:i64") { field(VAL, "-9007199254740993") }
record(aSub, "T:asub") { field(FTA, "DOUBLE") field(NOA, "4") }
record(fanout, "T:fan") { field(LNK1, "T:calc") }
"""


@pytest.fixture
def old_and_new_ioc(base_version: str, tmp_path: Path, make_ioc: Callable[..., RealIoc]) -> RealIoc:
    libraries = EpicsLibraries.copy(tmp_path / "epics", version=base_version)
    return make_ioc(RECORDS, libraries=libraries)


@pytest.fixture
def real(make_ioc: Callable[..., RealIoc]) -> RealIoc:
    return make_ioc(RECORDS)


@pytest.fixture
def seen(real: RealIoc) -> Iterator[Ioc]:
    with find_ioc(real.pid) as ioc:
        yield ioc


def dba(real: RealIoc, name: str) -> tuple[int, int, int]:
    """The addresses of record, field and field description, as the IOC itself has them."""
    answer = real.shell(f"dba {name}")
    record, field, description = re.findall(r"(?:Record|Field) ?(?:Address|Description)?: ?(0x[0-9a-f]+)", answer)
    return int(record, 16), int(field, 16), int(description, 16)


def shown(real: RealIoc, name: str) -> str:
    """What dbgf shows, a string without its quotes."""
    text = real.get(name)
    return text[1:-1] if text.startswith('"') else text.partition(" =")[0]


def check_every_field_of(real: RealIoc, ioc: Ioc, name: str) -> int:
    """Compare each scalar field with dbgf; returns how many."""
    record = ioc.record(name)
    assert record is not None
    compared = 0
    for field in record.record_type.fields:
        if field.dbf is DbfType.NOACCESS or field.name in ("TIME", "LCNT"):
            continue
        value = ioc.value(record, field.name)
        expected = shown(real, f"{name}.{field.name}")
        if field.choices is not None:
            assert isinstance(value, int)
            choice = field.choice(value)
            if choice is None:
                continue  # dbgf fails for a menu without that choice: SSCN is 65535 until it is set
            assert choice == expected, field
        elif field.dbf in (DbfType.FLOAT, DbfType.DOUBLE):
            assert value == pytest.approx(float(expected), rel=1e-5, nan_ok=True), field
        elif isinstance(value, str):
            assert value[:39] == expected[:39], field
        elif field.dbf is DbfType.ENUM and ioc.enum_choices(record):
            choices = ioc.enum_choices(record)
            assert choices is not None
            assert isinstance(value, int)
            assert choices[value] == expected
        else:
            assert value == int(expected.split()[0]), field
        compared += 1
    return compared


@pytest.mark.parametrize("base_version", BASE_VERSIONS, indirect=True)
def test_records_fields_and_values_in_every_generation_of_base(old_and_new_ioc: RealIoc) -> None:
    real = old_and_new_ioc
    with find_ioc(real.pid) as ioc:
        names = {name for record in ioc.records() for name in (record.name, *record.aliases)}
        assert names == set(real.record_names())
        assert ioc.is_initialized
        for name in ("T:calc", "T:ao", "T:mbbo"):
            assert check_every_field_of(real, ioc, name) > 50
        for name in ("T:calc", "T:calc.VAL", "T:ao.PACT", "T:mbbo.TIME", "T:fan.FLNK", "T:wf.NORD"):
            record_address, field_address, description = dba(real, name)
            record = ioc.record_at(record_address)
            assert record is not None
            assert record.name == name.partition(".")[0]
            field = record.record_type.field_at(field_address - record_address)
            assert field is not None
            assert field.name == (name.partition(".")[2] or "VAL")
            assert field.descriptor == description
            assert ioc.record_types.field_of(description) == (record.record_type, field)


def test_every_field_of_every_record(real: RealIoc, seen: Ioc) -> None:
    for record in seen.records():
        assert check_every_field_of(real, seen, record.name) > 30


def test_who_the_ioc_is(real: RealIoc, seen: Ioc) -> None:
    assert real.pid in [ioc.pid for ioc in find_iocs()]
    assert (seen.pid, seen.name, seen.is_running) == (real.pid, "testioc", True)
    assert seen.argv[-2:] == ("-d", str(real.process.log.with_name("testioc.db")))
    assert abs(seen.identity.start_time_ns - time.time_ns()) < 60_000_000_000
    assert seen.net_namespace == os.stat(f"/proc/{real.pid}/ns/net").st_ino
    assert seen.base_version is not None
    assert f"EPICS {seen.base_version}" in real.shell("coreRelease")
    assert seen.database_file.path == str(real.libraries.dbcore)


def test_the_environment_is_the_one_the_startup_script_made(real: RealIoc, seen: Ioc) -> None:
    assert seen.environment()["EPICS_CAS_SERVER_PORT"] == str(real.port)
    real.shell('epicsEnvSet("IOC", "renamed")')
    assert seen.environment()["IOC"] == "renamed"
    with find_ioc(real.pid) as again:
        assert again.name == "renamed"


def test_the_common_fields_and_alarms_are_those_of_the_menus(seen: Ioc) -> None:
    common = seen.record_types.common
    assert {"NAME", "RDES", "PACT", "STAT", "SEVR", "TIME", "DTYP", "FLNK", "PUTF", "PPN", "SCAN"} <= set(common)
    assert common["STAT"].choices == tuple(condition.name for condition in AlarmCondition)
    assert common["SEVR"].choices == tuple(severity.name for severity in AlarmSeverity)
    assert "VAL" not in common


def test_alarms_after_a_put(real: RealIoc, seen: Ioc) -> None:
    ao = seen.record("T:ao")
    assert ao is not None
    real.put("T:ao", "4.5")
    assert (seen.value(ao, "STAT"), seen.value(ao, "SEVR")) == (AlarmCondition.HIGH, AlarmSeverity.MINOR)
    assert (seen.value(ao), seen.values([ao])) == (4.5, [4.5])
    stamp = seen.value(ao, "TIME")
    assert isinstance(stamp, int)
    assert abs(stamp - time.time_ns()) < 10_000_000_000


def test_arrays_strings_and_rings(real: RealIoc, seen: Ioc) -> None:
    def value(name: str, field: str = "VAL", limit: int = 1000) -> object:
        record = seen.record(name)
        assert record is not None
        return seen.value(record, field, limit)

    assert value("T:wf") == ()
    real.shell('dbpf "T:wf" "[1.5, 2, 3]"')
    real.shell('dbpf "T:wfl" "[-1, 2]"')
    real.shell("""dbpf "T:wfs" '["one", "two"]'""")
    real.shell('dbpf "T:wfc" "text in characters"')
    real.shell('dbpf "T:lsi.VAL$" "a long string"')
    assert value("T:wf") == (1.5, 2.0, 3.0)
    assert value("T:wf", limit=2) == (1.5, 2.0)
    assert value("T:wfl") == (-1, 2)
    assert value("T:wfs") == ("one", "two")
    assert value("T:wfc") == b"text in characters\0"
    assert value("T:lsi") == "a long string"
    assert value("T:asub", "A") == (0.0,) * 4
    assert value("T:hist") == (0,) * 4
    for number in range(7):
        real.put("T:ao", str(number))
        real.put("T:cmp.PROC", "1")
        truth = real.shell("dbgf T:cmp").partition(":")[2].split()
        assert value("T:cmp") == tuple(float(word) for word in truth)


def test_links(real: RealIoc, seen: Ioc) -> None:
    calc = seen.record("T:calcalias")
    assert calc is not None
    assert calc.name == "T:calc"
    assert calc.aliases == ("T:calcalias",)
    input_a, forward, constant = (seen.link(calc, name) for name in ("INPA", "FLNK", "INPB"))
    assert input_a is not None
    assert (input_a.kind, input_a.target, str(input_a)) == (LinkKind.CA_LINK, "T:ao", shown(real, "T:calc.INPA"))
    assert forward is not None
    assert (forward.kind, str(forward)) == (LinkKind.DB_LINK, shown(real, "T:calc.FLNK"))
    assert constant is not None
    assert (constant.kind, constant.text) == (LinkKind.CONSTANT, "5.25")
    assert [field.name for field in calc.record_type.links][:3] == ["TSEL", "SDIS", "FLNK"]
    real.put("T:calc.FLNK", "T:str")
    assert str(seen.link(calc, "FLNK")) == "T:str"


def test_functions_are_found_in_the_libraries_that_are_mapped(real: RealIoc, seen: Ioc) -> None:
    for symbol, library in (
        ("dbProcess", "dbCore"),
        ("dbPut", "dbCore"),
        ("camessage", "dbCore"),
        ("write_action", "dbCore"),
        ("ca_array_put", "ca"),
        ("epicsThreadCreate", "Com"),
    ):
        function = seen.function(symbol)
        assert function.file.path == str(real.libraries.library(library))
        assert os.path.samefile(function.path, real.libraries.library(library))
    with pytest.raises(NoSuchFunction) as caught:
        seen.function("dbNoSuchFunction")
    assert (caught.value.pid, caught.value.symbol) == (real.pid, "dbNoSuchFunction")


def test_libraries_that_were_replaced_while_the_ioc_runs(real: RealIoc) -> None:
    library = real.libraries.dbcore
    inode, content = library.stat().st_ino, library.read_bytes()
    library.unlink()
    library.write_bytes(content[: len(content) // 2])
    with find_ioc(real.pid) as ioc:
        assert ioc.database_file.deleted
        assert os.stat(ioc.function("dbProcess").path).st_ino == inode
        assert {r.name for r in ioc.records()} >= {"T:calc", "T:ao"}


def test_an_ioc_that_ends_is_gone_and_never_a_crash(real: RealIoc, seen: Ioc) -> None:
    assert len(seen.records()) == 16
    real.stop()
    assert not seen.is_running
    ao = seen.record("T:ao")
    assert ao is not None
    with pytest.raises(ProcessGone):
        seen.value(ao)
    assert seen.record_at(ao.address) == ao, "what is known stays known"
    with pytest.raises(ProcessGone):
        seen.record_at(ao.address + 1)
    assert real.pid not in [ioc.pid for ioc in find_iocs()]
    with pytest.raises(ProcessGone):
        find_ioc(real.pid)


def test_twenty_thousand_records_are_named_in_a_moment(make_ioc: Callable[..., RealIoc]) -> None:
    kinds = ("calc", "ao", "longout", "stringin", "bi", "ai")
    names = [f"BIG:sector{n % 40:02}:dev{n:05}:val" for n in range(20_000)]
    real = make_ioc("".join(f'record({kinds[n % 6]}, "{name}") {{}}\n' for n, name in enumerate(names)))
    truth = real.record_names()
    with find_ioc(real.pid) as ioc:
        started = time.perf_counter()
        records = ioc.records()
        walked = time.perf_counter() - started
        assert [record.name for record in records] == truth
        ioc.refresh()
        assert [r and r.name for r in ioc.database.records_at([r.address for r in records])] == truth
        assert ioc.values(records[:5], "SEVR") == [3] * 5
    # 0.1 s on an idle machine; this bound only tells a walk from a read per record and pointer.
    assert walked < 2.0

"""Processes that are IOCs, almost IOCs, and none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from epicsmon.ioc import DatabaseNotLoaded, IocFinder, NotAnIoc, find_ioc, find_iocs
from pybpf.elf.image import ElfImage
from tests.support.epics import EpicsLibraries, RealIoc

HALF_AN_IOC = """
import ctypes, sys
home, step = sys.argv[1], sys.argv[2]
core = [ctypes.CDLL(lib, mode=ctypes.RTLD_GLOBAL) for lib in sys.argv[3:]][2]
if step == "dbd":
    core.dbLoadDatabase(b"base.dbd", home.encode() + b"/dbd", None)
print(flush=True)
sys.stdin.read()
"""

SOFT_IOC_IN_C = """
#include <stdio.h>
extern void *pdbbase;
int dbLoadDatabase(const char *, const char *, const char *);
int dbLoadRecords(const char *, const char *);
int registerAllRecordDeviceDrivers(void *);
int iocInit(void);
int main(int argc, char **argv) {
    if (dbLoadDatabase("base.dbd", argv[1], 0) || registerAllRecordDeviceDrivers(pdbbase)) return 1;
    if (dbLoadRecords(argv[2], 0) || iocInit()) return 2;
    puts("READY");
    fflush(stdout);
    return getchar() == EOF ? 0 : 3;
}
"""

LINKED_STATICALLY = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
void *pdbbase;
long dbProcess(void *record) { return record != 0; }
static void *scan(void *unused) { pause(); return unused; }
int main(int argc, char **argv) {
    pthread_t thread;
    if (argc > 1) pthread_create(&thread, 0, scan, 0);
    pdbbase = calloc(1, 512);
    puts("READY");
    fflush(stdout);
    return getchar() == EOF ? 0 : 3;
}
"""


@contextmanager
def started(*arguments: str | Path) -> Iterator[int]:
    """A child that has printed its first line; ended afterwards. Gives its process id."""
    with subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            assert line, f"{arguments} ended with {child.wait()}"
            yield child.pid
        finally:
            child.kill()


def compiled(source: str, folder: Path, *options: str | Path) -> Path:
    program = folder / "program"
    code = folder / "program.c"
    code.write_text(source)
    subprocess.run(["gcc", "-O1", "-w", "-o", str(program), str(code), *(str(o) for o in options)], check=True)
    return program


def pids() -> list[int]:
    return [ioc.pid for ioc in find_iocs()]


def test_a_program_with_the_library_is_no_ioc_until_it_has_a_database(
    tmp_path: Path, epics_libraries: Callable[..., EpicsLibraries]
) -> None:
    libraries = epics_libraries()
    files = [libraries.library(name) for name in ("Com", "ca", "dbCore", "dbRecStd")]
    with started(sys.executable, "-c", HALF_AN_IOC, libraries.home, "library", *files) as pid:
        assert pid not in pids()
        with find_ioc(pid) as ioc:
            assert ioc.has_database is False
            with pytest.raises(DatabaseNotLoaded):
                ioc.records()
            assert ioc.function("dbProcess").file.path == str(libraries.dbcore)
    with started(sys.executable, "-c", HALF_AN_IOC, libraries.home, "dbd", *files) as pid:
        assert pid in pids()
        with find_ioc(pid) as ioc:
            assert ioc.is_initialized is False
            with pytest.raises(DatabaseNotLoaded, match="registered"):
                ioc.records()


def test_other_processes_are_none() -> None:
    with started(sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()") as pid:
        assert pid not in pids()
        with pytest.raises(NotAnIoc) as caught:
            find_ioc(pid)
        assert caught.value.pid == pid


@pytest.mark.needs("gcc")
def test_pdbbase_that_was_copied_into_the_executable(
    tmp_path: Path, netns: object, epics_libraries: Callable[..., EpicsLibraries]
) -> None:
    libraries = epics_libraries()
    folder = libraries.home / "lib"
    program = compiled(
        SOFT_IOC_IN_C,
        tmp_path,
        "-no-pie",
        f"-L{folder}",
        f"-Wl,--no-as-needed,-rpath,{folder}",
        *(f"-l:{libraries.library(name).name}" for name in ("dbRecStd", "dbCore", "ca", "Com")),
    )
    with ElfImage.open(program) as image:
        copy = image.find("pdbbase")
    assert copy is not None, "the linker made no R_X86_64_COPY"
    database = tmp_path / "copy.db"
    database.write_text('record(calc, "COPY:calc") { field(CALC, "6*7") field(PINI, "YES") }')
    with started(program, libraries.home / "dbd", database) as pid:
        assert pid in pids()
        with find_ioc(pid) as ioc:
            assert ioc.variable("pdbbase") == copy.address
            [record] = ioc.records()
            assert (record.name, ioc.value(record)) == ("COPY:calc", 42.0)
            assert ioc.is_initialized
            assert ioc.function("dbProcess").file.path == str(libraries.dbcore)


@pytest.mark.needs("gcc")
def test_an_executable_that_exports_dbprocess_itself(tmp_path: Path) -> None:
    program = compiled(LINKED_STATICALLY, tmp_path, "-rdynamic", "-pthread")
    finder = IocFinder()
    with started(program) as pid:
        assert pid not in [ioc.pid for ioc in finder.find()], "an IOC has threads"
    with started(program, "with a thread") as pid:
        assert pid in [ioc.pid for ioc in finder.find()]
        with find_ioc(pid) as ioc:
            assert ioc.database_file.path == str(program)
            assert ioc.function("dbProcess").file is ioc.executable
            with pytest.raises(DatabaseNotLoaded):
                ioc.records()


def test_a_finder_finds_iocs_that_come_and_go(make_ioc: Callable[..., RealIoc]) -> None:
    finder = IocFinder()
    first = make_ioc('record(calc, "FIRST") {}', name="first")
    second = make_ioc('record(calc, "SECOND") {}', name="second")
    found = {ioc.pid: ioc for ioc in finder.find()}
    for real in (first, second):
        with found[real.pid] as ioc:
            assert ioc.name == real.name
            assert [record.name for record in ioc.records()] == [real.name.upper()]
    first.stop()
    later = {ioc.pid: ioc for ioc in finder.find()}
    assert first.pid not in later
    assert later[second.pid] is found[second.pid]

"""Symbols of a process, found in synthetic libraries that this process maps."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from epicsmon.ioc.errors import UnsupportedProcess
from epicsmon.ioc.maps import MappedFile, parse_maps, read_maps
from epicsmon.ioc.symbols import Symbols, is_database_library
from tests.support.elfwriter import CODE_ADDRESS, CODE_OFFSET, OBJECT, Definition, write_elf

FUNCTION = Definition("dbProcess")
VARIABLE = Definition("pdbbase", bytes(8), OBJECT)
IMPORTED = Definition("pdbbase", kind=OBJECT, defined=False)
HIDDEN = Definition("pdbbase", bytes(8), OBJECT, exported=False)


@contextmanager
def mapped(folder: Path, images: dict[str, bytes]) -> Iterator[dict[str, MappedFile]]:
    """Map the headers and the code of each image, as the dynamic linker would; the files by name."""
    with ExitStack() as stack:
        for name, image in images.items():
            (folder / name).write_bytes(image)
            with (folder / name).open("rb") as file:
                for offset, size in ((0, CODE_OFFSET), (CODE_OFFSET, len(image) - CODE_OFFSET)):
                    flags = mmap.MAP_PRIVATE
                    protection = mmap.PROT_READ | (mmap.PROT_EXEC if offset else 0)
                    stack.enter_context(mmap.mmap(file.fileno(), size, flags, protection, offset=offset))
        inodes = {(folder / name).stat().st_ino: name for name in images}
        files = parse_maps(read_maps(os.getpid()))
        yield {inodes[file.inode]: file for file in files if file.inode in inodes}


def symbols(files: dict[str, MappedFile]) -> Symbols:
    return Symbols(os.getpid(), files.get("program"), tuple(files.values()))


def test_the_library_of_the_database_by_its_names() -> None:
    def named(name: str) -> bool:
        return is_database_library(MappedFile("/lib/" + name, (8, 1), 1, False, ()))

    assert all(map(named, ("libdbCore.so", "libdbCore.so.7.0.10", "libdbIoc.so.3.14", "libdbCore-1f2e3d.so.3.22.0")))
    assert not any(map(named, ("libdbCore.a", "libdbCoreExtra.so", "libdbStaticIoc.so", "dbCore.so", "libca.so")))


def test_the_executable_comes_first_then_the_libraries_of_epics(tmp_path: Path) -> None:
    both = write_elf([FUNCTION, VARIABLE])
    images = {"libz.so": both, "libdbCore.so.7": both, "program": both, "libCom.so.7": both}
    with mapped(tmp_path, images) as files:
        for first in ("program", "libdbCore.so.7", "libCom.so.7", "libz.so"):
            found = symbols(files).function("dbProcess")
            assert found is not None
            assert found.file is files[first]
            assert os.path.samefile(found.path, tmp_path / first)
            del files[first]
        assert symbols(files).function("dbProcess") is None


def test_a_variable_is_where_its_own_image_has_it(tmp_path: Path) -> None:
    images = {"program": write_elf([IMPORTED]), "libdbCore.so": write_elf([FUNCTION, VARIABLE])}
    with mapped(tmp_path, images) as files:
        file = files["libdbCore.so"]
        address = symbols(files).variable("pdbbase")
        assert address is not None
        offset = address - file.mappings[0].start
        assert CODE_ADDRESS <= offset < CODE_ADDRESS + 32
        assert symbols(files).variable("interruptAccept") is None


def test_a_static_variable_counts_in_the_executable_only(tmp_path: Path) -> None:
    images = {"program": write_elf([HIDDEN]), "libother.so": write_elf([HIDDEN])}
    with mapped(tmp_path, images) as files:
        assert symbols(files).variable("pdbbase") is not None
        del files["program"]
        assert symbols(files).variable("pdbbase") is None


def test_files_that_are_no_images_are_passed_over(tmp_path: Path) -> None:
    good = write_elf([FUNCTION, VARIABLE])
    images = {"program": good[:100] + bytes(len(good) - 100), "libdbCore.so": b"#!" + good[2:], "libCom.so": good}
    with mapped(tmp_path, images) as files:
        found = symbols(files).function("dbProcess")
        assert found is not None
        assert found.file is files["libCom.so"]


def test_32_bit_processes_are_refused_with_the_reason(tmp_path: Path) -> None:
    images = {"libdbCore.so": write_elf([FUNCTION, VARIABLE], bits=32, machine="i386")}
    with mapped(tmp_path, images) as files:
        assert symbols(files).function("dbProcess") is not None
        with pytest.raises(UnsupportedProcess, match="32-bit"):
            symbols(files).variable("pdbbase")

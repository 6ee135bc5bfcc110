"""Functions and variables of an IOC by name: which mapped file defines them, and where they are in its memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from epicsmon.ioc.errors import UnsupportedProcess
from epicsmon.ioc.maps import MappedFile, Mapping, open_path
from pybpf.elf.image import ElfImage
from pybpf.errors import ImageError

_DATABASE_LIBRARIES = ("libdbCore", "libdbIoc")
"""The library of dbProcess, dbPut and pdbbase: libdbCore from Base 3.15 on, libdbIoc before."""

_EPICS_LIBRARIES = (*_DATABASE_LIBRARIES, "libdbStaticIoc", "librsrvIoc", "libasIoc", "libca", "libCom", "libqsrv")


@dataclass(frozen=True)
class Function:
    """A function of an IOC: `path` opens the very file it runs from, wherever that is, and can be given to a uprobe."""

    symbol: str
    path: str
    file: MappedFile


def is_database_library(file: MappedFile) -> bool:
    """Whether a mapped file is by its name the library that holds the IOC's database."""
    return _library_name(file) in _DATABASE_LIBRARIES


def _library_name(file: MappedFile) -> str | None:
    """The name before the version, and before the hash that Python wheels put in; None for what is no library."""
    stem, so, _ = file.name.partition(".so")
    return stem.partition("-")[0] if so else None


class Symbols:
    """The symbols of one process, found in the files it has mapped and remembered.

    A name is looked for first in the executable, where a static IOC has everything and where the dynamic linker puts a
    variable of a library that the executable uses itself (R_X86_64_COPY; the library then uses that one too), then in
    the libraries of EPICS, then in all others.
    """

    def __init__(self, pid: int, executable: MappedFile | None, files: tuple[MappedFile, ...]) -> None:
        self._pid = pid
        self._executable = executable
        self._files = files
        self._functions: dict[str, Function | None] = {}
        self._variables: dict[str, int | None] = {}

    def function(self, symbol: str) -> Function | None:
        """The function `symbol`, None when no mapped file defines it (or none that may be opened)."""
        if symbol not in self._functions:
            self._functions[symbol] = self._find_function(symbol)
        return self._functions[symbol]

    def variable(self, symbol: str) -> int | None:
        """The address in the process of the global variable `symbol`; None when no mapped file exports it.

        Raises UnsupportedProcess for a 32-bit process.
        """
        if symbol not in self._variables:
            self._variables[symbol] = self._find_variable(symbol)
        return self._variables[symbol]

    def _find_function(self, symbol: str) -> Function | None:
        for file in self._search_order():
            path = open_path(self._pid, file)
            if path is not None and _look_up(path, symbol) is not None:
                return Function(symbol, path, file)
        return None

    def _find_variable(self, symbol: str) -> int | None:
        for file in self._search_order():
            path = open_path(self._pid, file)
            found = None if path is None else _look_up(path, symbol, file.mappings[0])
            if found is None or not (found.exported or file is self._executable):
                continue
            if found.bits != 64:
                raise UnsupportedProcess(self._pid, f"{file.path} is a {found.bits}-bit program")
            return found.address
        return None

    def _search_order(self) -> Iterator[MappedFile]:
        def rank(file: MappedFile) -> int:
            if file is self._executable:
                return -1
            name = _library_name(file)
            return _EPICS_LIBRARIES.index(name) if name in _EPICS_LIBRARIES else len(_EPICS_LIBRARIES)

        return iter(sorted((file for file in self._files if file.code is not None), key=rank))


@dataclass(frozen=True)
class _Found:
    """A symbol of an image: its address in the process when its mapping was given, else in the image."""

    address: int
    exported: bool
    bits: int


def _look_up(path: str, symbol: str, mapping: Mapping | None = None) -> _Found | None:
    """A symbol of the file at `path`; None when it has none or is no sound ELF image (data files are mapped too)."""
    try:
        with ElfImage.open(path) as image:
            found = image.find(symbol)
            if found is None:
                return None
            bias = 0 if mapping is None else image.load_bias(mapping.start, mapping.offset)
            return _Found(found.address + bias, found.exported, image.bits)
    except ImageError:
        return None

"""Finding the IOCs of this machine: every process that runs EPICS Base's database.

One pass reads /proc/PID/maps of each process once, so it takes time in proportion to the number of processes. A
process is an IOC when it maps libdbCore or libdbIoc, or when its executable exports dbProcess itself (a static IOC).
Executables are opened only for processes that have threads, which every IOC has, and each one only once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from epicsmon.ioc.errors import IocError, NotAnIoc, ProcessGone
from epicsmon.ioc.ioc import Ioc
from epicsmon.ioc.maps import MappedFile, parse_maps, read_maps
from epicsmon.ioc.process import CAP_SYS_PTRACE, ProcessIdentity, effective_capabilities, read_stat
from epicsmon.ioc.symbols import is_database_library
from pybpf.elf.image import ElfImage
from pybpf.errors import ImageError

_LIBRARY_MARKS = (b"/libdbCore", b"/libdbIoc")


class IocFinder:
    """Looks for IOCs again and again: a later pass gives the same objects for those that still run, and costs less.

    `not_permitted` is the number of processes that the last pass was not allowed to look into for want of
    CAP_SYS_PTRACE; what stays closed even with it, to the host's security module, is not counted.
    """

    def __init__(self) -> None:
        self.not_permitted = 0
        self._known: dict[int, Ioc] = {}
        self._exports_dbprocess: dict[tuple[int, int, int, int], bool] = {}

    def find(self) -> tuple[Ioc, ...]:
        """The IOCs that run now, in the order of their process ids; they hold no descriptors until they are read.

        A process that has the library but has loaded no database definition, like a client program that is linked with
        it, is not among them.
        """
        self.not_permitted = 0
        found = []
        for pid in _process_ids():
            try:
                ioc = self._examine(pid)
            except PermissionError:
                self.not_permitted += 1
            except (IocError, FileNotFoundError):
                continue
            else:
                if ioc is not None:
                    found.append(ioc)
        if self.not_permitted and effective_capabilities() >> CAP_SYS_PTRACE & 1:
            self.not_permitted = 0
        self._known = {ioc.pid: ioc for ioc in found}
        return tuple(found)

    def at(self, pid: int) -> Ioc:
        """The IOC that process `pid` is. Raises NotAnIoc, DatabaseNotLoaded, ProcessGone, PermissionError."""
        ioc = self._candidate(pid)
        if ioc is None:
            raise NotAnIoc(pid, "it neither maps libdbCore or libdbIoc nor exports dbProcess")
        return ioc

    def _examine(self, pid: int) -> Ioc | None:
        known = self._known.get(pid)
        if known is not None and known.is_running and _runs(pid, known.executable):
            return known
        ioc = self._candidate(pid)
        if ioc is None:
            return None
        with ioc:
            return ioc if ioc.has_database is not False else None

    def _candidate(self, pid: int) -> Ioc | None:
        maps = read_maps(pid)
        has_library = any(mark in maps for mark in _LIBRARY_MARKS)
        if not maps or not (has_library or self._is_static_ioc(pid)):
            return None
        files = parse_maps(maps)
        if has_library and not any(is_database_library(file) for file in files):
            return None
        identity = ProcessIdentity(pid, read_stat(pid).start_ticks)
        return Ioc(identity, _executable(pid, files), files)

    def _is_static_ioc(self, pid: int) -> bool:
        path = f"/proc/{pid}/exe"
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return False
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._exports_dbprocess.get(key)
        if known is None:
            if read_stat(pid).threads < 2:
                return False
            known = self._exports_dbprocess[key] = _defines_dbprocess(path)
        return known


def find_iocs() -> tuple[Ioc, ...]:
    """The IOCs that run on this machine now: see `IocFinder.find`."""
    return IocFinder().find()


def find_ioc(pid: int) -> Ioc:
    """The IOC that process `pid` is: see `IocFinder.at`."""
    return IocFinder().at(pid)


def _process_ids() -> Iterator[int]:
    return iter(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))


def _defines_dbprocess(path: str) -> bool:
    try:
        with ElfImage.open(path) as image:
            return image.find("dbProcess") is not None
    except ImageError:
        return False


def _runs(pid: int, executable: MappedFile | None) -> bool:
    """Whether the process still runs this executable: exec keeps a process's number and start time."""
    return executable is not None and os.stat(f"/proc/{pid}/exe").st_ino == executable.inode


def _executable(pid: int, files: tuple[MappedFile, ...]) -> MappedFile | None:
    try:
        inode = os.stat(f"/proc/{pid}/exe").st_ino
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone(pid) from None
    return next((file for file in files if file.inode == inode), None)

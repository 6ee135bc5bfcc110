"""An IOC process, seen from outside: who it is, its functions for probes, its record types and records."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from epicsmon.events import Value
from epicsmon.ioc import fields, process
from epicsmon.ioc.arrays import DEFAULT_LIMIT
from epicsmon.ioc.database import Database, Record
from epicsmon.ioc.environment import read_environment
from epicsmon.ioc.errors import (
    DatabaseNotLoaded,
    NoSuchFunction,
    NotAnIoc,
    ProcessGone,
    UnopenableFile,
    UnreadableMemory,
    UnsupportedProcess,
)
from epicsmon.ioc.links import Link, read_link
from epicsmon.ioc.maps import MappedFile, open_path
from epicsmon.ioc.memory import MemoryView, ProcessMemory
from epicsmon.ioc.process import ProcessIdentity
from epicsmon.ioc.recordtypes import RecordTypes
from epicsmon.ioc.symbols import Function, Symbols, is_database_library
from epicsmon.ioc.version import base_version
from pybpf.errors import PermissionDenied

if TYPE_CHECKING:
    from typing_extensions import Self

_INT = struct.Struct("<i")


class Ioc:
    """One IOC. Made by `find_iocs` and `find_ioc`; what it is asked for is read then, and kept.

    A context manager: it owns at most one file descriptor, from the first look into the process's memory on. After
    `close` it may be used again. Whatever looks into memory raises ProcessGone when the process has ended and pybpf's
    PermissionDenied when it may not.
    """

    def __init__(self, identity: ProcessIdentity, executable: MappedFile | None, files: tuple[MappedFile, ...]) -> None:
        self.identity = identity
        self.executable = executable
        self.files = files
        self._symbols = Symbols(identity.pid, executable, files)
        self._memory: ProcessMemory | None = None
        self._database: Database | None = None

    @property
    def pid(self) -> int:
        """The process id, in the namespace of /proc."""
        return self.identity.pid

    @property
    def is_running(self) -> bool:
        """Whether the process still runs."""
        return self.identity.is_running

    @cached_property
    def argv(self) -> tuple[str, ...]:
        """The command line; empty when it cannot be read."""
        return process.read_argv(self.pid)

    @cached_property
    def name(self) -> str:
        """What people call this IOC: see `epicsmon.ioc.process.ioc_name`."""
        comm = process.read_stat(self.pid).comm
        return process.ioc_name(self.environment(), self.argv, process.read_cwd(self.pid), comm)

    @cached_property
    def net_namespace(self) -> int | None:
        """The inode of the network namespace it serves in; None when it cannot be read."""
        return process.namespace_inode(self.pid)

    def environment(self) -> dict[str, str]:
        """The environment as the IOC sees it now, set by its start-up script or before; EPICS_CAS_SERVER_PORT and all.

        Where memory cannot be read it is the one that the process was started with.
        """
        try:
            address = self.variable("environ")
            if address is not None:
                return read_environment(MemoryView(self.memory), address)
        except (PermissionDenied, UnreadableMemory, UnsupportedProcess):
            pass
        return process.read_initial_environment(self.pid)

    @cached_property
    def database_file(self) -> MappedFile:
        """The file that holds dbProcess and the rest of the database: libdbCore, libdbIoc or the executable."""
        library = next((file for file in self.files if is_database_library(file)), self.executable)
        if library is None:
            raise NotAnIoc(self.pid, "no mapped file has the database")
        return library

    @cached_property
    def base_version(self) -> str | None:
        """The version of EPICS Base, like `7.0.10.1-DEV`; None when no file names it."""
        libcom = next((file for file in self.files if file.name.startswith("libCom.so")), None)
        for file in (self.database_file, libcom):
            path = None if file is None else open_path(self.pid, file)
            found = None if path is None else base_version(path)
            if found is not None:
                return found
        return None

    def function(self, symbol: str) -> Function:
        """The function `symbol` with a path that a uprobe can be attached through.

        Raises NoSuchFunction, UnopenableFile when the file that has the database cannot be looked into.
        """
        found = self._symbols.function(symbol)
        if found is None:
            self._require_file()
            raise NoSuchFunction(self.pid, symbol)
        return found

    def variable(self, symbol: str) -> int | None:
        """The address in the IOC's memory of a global variable, like `pdbbase`; None when there is none.

        Raises UnsupportedProcess for a 32-bit IOC, as everything does that needs the database.
        """
        return self._symbols.variable(symbol)

    @property
    def memory(self) -> ProcessMemory:
        """The process's memory, opened at the first use."""
        if self._memory is None:
            memory = ProcessMemory(self.pid)
            if not self.identity.is_running:
                memory.close()
                raise ProcessGone(self.pid)
            self._memory = memory
        return self._memory

    @property
    def has_database(self) -> bool | None:
        """Whether a database definition is loaded; None when that cannot be told."""
        try:
            return self._pdbbase() != 0
        except (PermissionDenied, UnreadableMemory, NotAnIoc, UnopenableFile, UnsupportedProcess):
            return None

    @property
    def is_initialized(self) -> bool | None:
        """Whether iocInit has come so far that records process (interruptAccept, dbAccess.c); None when unknown."""
        try:
            address = self.variable("interruptAccept")
            return None if address is None else bool(MemoryView(self.memory).unpack(_INT, address)[0])
        except (PermissionDenied, UnreadableMemory, UnsupportedProcess):
            return None

    @property
    def database(self) -> Database:
        """The database.

        Raises DatabaseNotLoaded, UnknownLayout, UnreadableMemory, NotAnIoc, UnopenableFile, UnsupportedProcess.
        """
        if self._database is None:
            address = self._pdbbase()
            if not address:
                raise DatabaseNotLoaded("no database definition is loaded (pdbbase is NULL)")
            self._database = Database(self.memory, address)
        return self._database

    def refresh(self) -> None:
        """Forget the record types and records: what is asked next is read anew (after another dbLoadRecords)."""
        self._database = None

    @property
    def record_types(self) -> RecordTypes:
        """The record types by name; errors as for `database`."""
        return self.database.record_types

    def records(self) -> tuple[Record, ...]:
        """Every record, in the order of `dbl`; errors as for `database`."""
        return self.database.records()

    def record(self, name: str) -> Record | None:
        """The record with this name or alias; None when there is none."""
        return self.database.record(name)

    def record_at(self, address: int) -> Record | None:
        """The record whose dbCommon is at `address`, as a probe sees it; None when there is none."""
        return self.database.record_at(address)

    def value(self, record: Record, field: str = "VAL", limit: int = DEFAULT_LIMIT) -> Value:
        """The value of a field now: see `epicsmon.ioc.fields.read_value`."""
        return fields.read_value(self.memory, record, field, limit)

    def values(self, records: Sequence[Record], field: str = "VAL") -> list[Value]:
        """A scalar field of many records at once: see `epicsmon.ioc.fields.read_values`."""
        return fields.read_values(self.memory, records, field)

    def enum_choices(self, record: Record) -> tuple[str, ...] | None:
        """The strings of a bi's, bo's, mbbi's or mbbo's states; None for other records."""
        return fields.read_enum_choices(self.memory, record)

    def link(self, record: Record, field: str) -> Link | None:
        """Where a link field leads; None when the record has no such link."""
        found = record.record_type.field(field)
        return None if found is None else read_link(MemoryView(self.memory), record.address, found)

    def close(self) -> None:
        """Give the file descriptor back and forget the database; records and types at hand stay as they are."""
        memory, self._memory, self._database = self._memory, None, None
        if memory is not None:
            memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ioc(pid={self.pid}, file={self.database_file.path!r})"

    def _require_file(self) -> None:
        """What is not found may only be out of reach. Raises UnopenableFile."""
        if self.is_running and open_path(self.pid, self.database_file) is None:
            raise UnopenableFile(self.pid, self.database_file.path)

    def _pdbbase(self) -> int:
        address = self.variable("pdbbase")
        if address is None:
            self._require_file()
            raise NotAnIoc(self.pid, "no mapped file exports pdbbase")
        return MemoryView(self.memory).pointer(address)

"""IOC processes seen from outside: find them, read their memory, learn their layouts, walk their records.

    for ioc in find_iocs():
        with ioc:
            print(ioc.name, ioc.base_version, len(ioc.records()))
            record = ioc.record("DEMO:temperature")
            if record is not None:
                print(ioc.value(record), ioc.link(record, "FLNK"))

Nothing in the IOC is touched but read, and nothing has to be restarted, recompiled or asked for.
"""

from __future__ import annotations

from epicsmon.ioc.alarm import AlarmCondition, AlarmSeverity, condition_name, severity_name
from epicsmon.ioc.database import Database, Record
from epicsmon.ioc.dbf import DbfNumbering, DbfType
from epicsmon.ioc.errors import (
    DatabaseNotLoaded,
    IocError,
    NoSuchFunction,
    NotAnIoc,
    ProcessGone,
    UnknownLayout,
    UnopenableFile,
    UnreadableMemory,
    UnsupportedProcess,
)
from epicsmon.ioc.find import IocFinder, find_ioc, find_iocs
from epicsmon.ioc.ioc import Ioc
from epicsmon.ioc.links import Link, LinkKind
from epicsmon.ioc.maps import MappedFile
from epicsmon.ioc.recordtypes import Field, RecordType, RecordTypes
from epicsmon.ioc.symbols import Function
from epicsmon.ioc.values import decode_buffer, decode_field, decode_scalar, decode_time

__all__ = [
    "AlarmCondition",
    "AlarmSeverity",
    "Database",
    "DatabaseNotLoaded",
    "DbfNumbering",
    "DbfType",
    "Field",
    "Function",
    "Ioc",
    "IocError",
    "IocFinder",
    "Link",
    "LinkKind",
    "MappedFile",
    "NoSuchFunction",
    "NotAnIoc",
    "ProcessGone",
    "Record",
    "RecordType",
    "RecordTypes",
    "UnknownLayout",
    "UnopenableFile",
    "UnreadableMemory",
    "UnsupportedProcess",
    "condition_name",
    "decode_buffer",
    "decode_field",
    "decode_scalar",
    "decode_time",
    "find_ioc",
    "find_iocs",
    "severity_name",
]

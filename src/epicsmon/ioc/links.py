"""The link fields of a record: what a struct link says about where it leads.

link.h. Base 3.16 made struct link 80 bytes and moved everything in it; until 3.15 it had 56. The field's own size in
the type tables tells which.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from epicsmon.ioc.dbf import DbfType
from epicsmon.ioc.errors import UnreadableMemory
from epicsmon.ioc.memory import MemoryView
from epicsmon.ioc.recordtypes import Field
from epicsmon.text import decode

_NEW = struct.Struct("<8xh22xQ8xQ16xh")
"""type 8, value.constantStr 32, value.pv_link.pvname 48, value.pv_link.pvlMask 72."""
_NEW_SIZE = 80
_OLD = struct.Struct("<Q24xh6xh")
"""value.constantStr and value.pv_link.pvname 0, value.pv_link.pvlMask 32, type 40."""
_OLD_SIZE = 56
_MAX_TEXT = 4095


class LinkKind(IntEnum):
    """link.type: the numbers are the same in every Base, JSON_LINK came with 3.16."""

    CONSTANT = 0
    PV_LINK = 1
    VME_IO = 2
    CAMAC_IO = 3
    AB_IO = 4
    GPIB_IO = 5
    BITBUS_IO = 6
    MACRO_LINK = 7
    JSON_LINK = 8
    PN_LINK = 9
    DB_LINK = 10
    CA_LINK = 11
    INST_IO = 12
    BBGPIB_IO = 13
    RF_IO = 14
    VXI_IO = 15


_TO_PV = (LinkKind.PV_LINK, LinkKind.PN_LINK, LinkKind.DB_LINK, LinkKind.CA_LINK)
_WITH_TEXT = (LinkKind.CONSTANT, LinkKind.MACRO_LINK, LinkKind.JSON_LINK, LinkKind.INST_IO)

_PROCESS_MASK = 0x3C
_PROCESS_OPTIONS = ((0x04, "PP"), (0x08, "CA"), (0x10, "CP"), (0x20, "CPP"))
_SEVERITY_OPTIONS = ("NMS", "MS", "MSI", "MSS")


@dataclass(frozen=True)
class Link:
    """A link as it is now.

    DB_LINK, CA_LINK and PV_LINK have a `target` (a PV name, perhaps with a field) and `options`: NPP, PP, CA, CP or
    CPP, then NMS, MS, MSI or MSS; for a forward link CA or none. Constants, JSON links and INST_IO (without its @) have
    a `text`. Other hardware addresses are not decoded.
    """

    kind: LinkKind
    target: str | None = None
    options: tuple[str, ...] = ()
    text: str | None = None

    def __str__(self) -> str:
        """The link as `dbgf` and CA clients show it."""
        if self.target is not None:
            return " ".join((self.target, *self.options))
        text = self.text or ""
        return "@" + text if self.kind is LinkKind.INST_IO else text


def read_link(view: MemoryView, record_address: int, field: Field) -> Link | None:
    """The link in a record's link field; None when the field is no link or its memory cannot be read."""
    if not field.dbf.is_link:
        return None
    try:
        if field.size == _NEW_SIZE:
            number, constant, name, mask = view.unpack(_NEW, record_address + field.offset)
        elif field.size == _OLD_SIZE:
            name, mask, number = view.unpack(_OLD, record_address + field.offset)
            constant = name
        else:
            return None
        kind = LinkKind(number)
        if kind in _TO_PV:
            return Link(kind, target=_string(view, name), options=_options(field.dbf, mask))
        return Link(kind, text=_string(view, constant) if kind in _WITH_TEXT else None)
    except (UnreadableMemory, ValueError):
        return None


def _string(view: MemoryView, address: int) -> str | None:
    return decode(view.c_string(address, _MAX_TEXT)) if address else None


def _options(dbf: DbfType, mask: int) -> tuple[str, ...]:
    process = next((name for bit, name in _PROCESS_OPTIONS if mask & _PROCESS_MASK & bit), "NPP")
    if dbf is DbfType.FWDLINK:
        return ("CA",) if process == "CA" else ()
    return process, _SEVERITY_OPTIONS[mask & 3]

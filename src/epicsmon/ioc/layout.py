"""Where EPICS Base keeps things in memory: the few offsets that are the same in every version from 3.14 to 7.0.

Bytes, for little-endian machines with 8-byte pointers (x86-64 and aarch64). They were read from the DWARF of
3.14.12.8, 3.15.9 and 7.0.1 to 7.0.10.1; the headers are libcom `ellLib.h` and dbStatic `dbBase.h`. Nothing of a record
is here but its name: all else is learned from the tables these structures lead to (`epicsmon.ioc.recordtypes`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from epicsmon.ioc.errors import UnknownLayout
from epicsmon.ioc.memory import MemoryView

ELL_LIST = struct.Struct("<QQi")
"""ELLLIST: first, last, count."""

BASE_MENU_LIST = 0
BASE_RECORD_TYPE_LIST = 24
"""struct dbBase: the ELLLISTs of dbMenu and of dbRecordType."""

MENU = struct.Struct("<16xQi4xQQ")
"""struct dbMenu: after the node, name, nChoice, papChoiceName, papChoiceValue (the strings a person sees)."""

DEVICE_SUPPORT_CHOICE = 24
"""struct devSup: the choice string that field DTYP shows."""

RECORD_TYPE_RECORDS = 40
RECORD_TYPE_DEVICES = 64
RECORD_TYPE = struct.Struct("<112xQh38xh6xQ8xi")
"""struct dbRecordType: name, no_fields, indvalFlddes, papFldDes, rec_size."""

FIELD = struct.Struct("<8xQQQhhiI20xQHH")
"""struct dbFldDes: name, extra, pdbRecordType, indRecordType, special, field_type, flag bits (process_passive is
bit 0), ftPvt, size, offset."""

RECORD_NODE = struct.Struct("<Q8xQQ24xI")
"""struct dbRecordNode: next, precord, recordname, flags."""

NODE_IS_ALIAS = 2
"""DBRN_FLAGS_ISALIAS of dbRecordNode.flags."""

RECORD_NAME = 0
RECORD_NAME_SIZE = 61
"""dbCommon.name, PVNAME_STRINGSZ bytes with its NUL."""

MAX_RECORD_TYPES = 4096
MAX_FIELDS = 2048
MAX_CHOICES = 4096
MAX_RECORDS = 4_000_000
"""More than any IOC has: a table that says more is not one."""


def ell_nodes(view: MemoryView, address: int, limit: int) -> Iterator[int]:
    """The addresses of the nodes of the ELLLIST at `address`, at most `limit`.

    Follows `next` pointers and not the count, which may be older or newer than the list while the IOC changes it.
    Raises UnknownLayout for a list that meets itself, has an impossible count or is longer than `limit`.
    """
    node, _, count = view.unpack(ELL_LIST, address)
    if not 0 <= count <= limit:
        raise UnknownLayout(address, f"a list of {count} elements")
    seen: set[int] = set()
    while node:
        if node in seen:
            raise UnknownLayout(address, "the list meets itself")
        if len(seen) >= limit:
            raise UnknownLayout(address, f"a list of more than {limit} elements")
        seen.add(node)
        following = view.pointer(node)
        yield node
        node = following

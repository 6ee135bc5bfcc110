"""The records of an IOC: all of them in one walk, or the one that a pointer points to."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from epicsmon.ioc import layout
from epicsmon.ioc.errors import UnreadableMemory
from epicsmon.ioc.memory import Memory, MemoryView
from epicsmon.ioc.recordtypes import RecordType, RecordTypes, read_record_types
from epicsmon.text import decode

_POINTER = struct.Struct("<Q")


@dataclass(frozen=True)
class Record:
    """A record instance: its name, where its dbCommon is in the IOC's memory, its type and its other names."""

    name: str
    address: int
    record_type: RecordType
    aliases: tuple[str, ...] = ()


class Database:
    """An IOC's record types, read at once, and its records, read when asked for.

    `record_at` needs no walk: it reads the one record. `records` walks the whole list; the walk is kept until
    `refresh`, because records are made at dbLoadRecords only and (but for tests) never deleted.
    Raises DatabaseNotLoaded, UnknownLayout and UnreadableMemory when the type tables cannot be read.
    """

    def __init__(self, memory: Memory, pdbbase: int) -> None:
        self._memory = memory
        self.pdbbase = pdbbase
        self.record_types: RecordTypes = read_record_types(MemoryView(memory), pdbbase)
        self._rdes = self.record_types.common["RDES"].offset
        self._head = max(self._rdes + 8, layout.RECORD_NAME + layout.RECORD_NAME_SIZE)
        self._known: dict[int, Record] = {}
        self._walked: tuple[Record, ...] | None = None
        self._by_name: dict[str, Record] = {}

    def record_at(self, address: int) -> Record | None:
        """The record whose dbCommon is at `address`; None when there is none. One small read, then cached.

        Checked through RDES, which must point to one of the record types. Aliases are filled in once the records were
        walked.
        """
        found = self._known.get(address)
        if found is None:
            [found] = self.records_at([address])
        return found

    def records_at(self, addresses: Sequence[int]) -> list[Record | None]:
        """`record_at` for many addresses with one batched read for those not yet known."""
        known = self._known
        missing = list({address for address in addresses if address not in known})
        for address, head in zip(missing, self._memory.read_many([(address, self._head) for address in missing])):
            record = None if head is None else self._record(address, head, 0)
            if record is not None:
                known[address] = record
        return [known.get(address) for address in addresses]

    def name_of(self, address: int) -> str | None:
        """The name of the record at `address`; None when there is no record."""
        record = self.record_at(address)
        return None if record is None else record.name

    def records(self) -> tuple[Record, ...]:
        """Every record with its aliases, in the order of `dbl`: type by type, then as they were created or sorted."""
        if self._walked is None:
            self._walked = self._walk()
        return self._walked

    def record(self, name: str) -> Record | None:
        """The record with this name or alias (without a field); None when there is none."""
        if not self._by_name:
            for record in self.records():
                for other in (record.name, *record.aliases):
                    self._by_name.setdefault(other, record)
        return self._by_name.get(name)

    def refresh(self) -> None:
        """Forget names and records: the next question reads the IOC's memory anew."""
        self._known = {}
        self._walked = None
        self._by_name = {}

    def _walk(self) -> tuple[Record, ...]:
        view = MemoryView(self._memory)
        found: dict[int, Record] = {}
        aliases: dict[int, list[str]] = {}
        for record_type in self.record_types.values():
            for precord, alias in self._nodes(view, record_type):
                if alias is not None:
                    aliases.setdefault(precord, []).append(alias)
                    continue
                record = self._checked(view, precord, record_type)
                if record is not None:
                    found[precord] = record
        for precord, names in aliases.items():
            named = found.get(precord)
            if named is not None:
                found[precord] = Record(named.name, precord, named.record_type, tuple(names))
        self._known = found
        return tuple(found.values())

    def _nodes(self, view: MemoryView, record_type: RecordType) -> Iterator[tuple[int, str | None]]:
        """The dbRecordNodes of a type: address of the record, and the alias when the node is one.

        The list may be cut short or meet itself while the IOC adds to it (or its memory is damaged): what is read up
        to there stands.
        """
        try:
            node = view.pointer(record_type.address + layout.RECORD_TYPE_RECORDS)
            seen: set[int] = set()
            while node and node not in seen and len(seen) < layout.MAX_RECORDS:
                seen.add(node)
                buffer, offset = view.locate(node, layout.RECORD_NODE.size)
                node, precord, name_at, flags = layout.RECORD_NODE.unpack_from(buffer, offset)
                alias = None
                if flags & layout.NODE_IS_ALIAS:
                    alias = decode(view.c_string(name_at, layout.RECORD_NAME_SIZE - 1))
                yield precord, alias
        except UnreadableMemory:
            return

    def _checked(self, view: MemoryView, precord: int, record_type: RecordType) -> Record | None:
        try:
            buffer, offset = view.locate(precord, self._head)
        except UnreadableMemory:
            return None
        record = self._record(precord, buffer, offset)
        return record if record is not None and record.record_type is record_type else None

    def _record(self, address: int, buffer: bytes, offset: int) -> Record | None:
        """The record whose first bytes are at `offset` of `buffer`; None when these are not a record's."""
        record_type = self.record_types.at(_POINTER.unpack_from(buffer, offset + self._rdes)[0])
        if record_type is None:
            return None
        end = buffer.find(b"\0", offset, offset + layout.RECORD_NAME_SIZE)
        if end <= offset:
            return None
        return Record(buffer[offset:end].decode("utf-8", "backslashreplace"), address, record_type)

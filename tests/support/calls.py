"""Calls of a synthetic IOC, as the bytes that the programs of process_trace.py send: in the order the calls return."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from epicsmon.programs import process_trace as kernel
from hypothesis import strategies as st

from epicsmon.events import SpanKind
from epicsmon.ioc import Record, RecordTypes
from epicsmon.ioc.database import Database
from epicsmon.ioc.process import ProcessIdentity
from epicsmon.trace.subject import TracedIoc
from pybpf.types import pack
from tests.support.iocimage import TYPES, FieldSpec, IocImage, RecordSpec, TypeSpec

if TYPE_CHECKING:
    from epicsmon.ioc import Ioc

PID = 4711
NUMBERS = {
    SpanKind.PROCESS: kernel.PROCESS,
    SpanKind.PUT_FIELD: kernel.PUT_FIELD,
    SpanKind.PUT: kernel.PUT,
    SpanKind.PUT_NOTIFY: kernel.PUT_NOTIFY,
}
LONGIN = TypeSpec("longin", (FieldSpec("VAL", "LONG", 4), FieldSpec("HOPR", "LONG", 4)))
STRINGIN = TypeSpec("stringin", (FieldSpec("VAL", "STRING", 40), FieldSpec("OVAL", "STRING", 40)))
ODD = TypeSpec("odd", (FieldSpec("FAR", "STRING", 2000), FieldSpec("VAL", "DOUBLE", 8)))
ALL_TYPES = (*TYPES, LONGIN, STRINGIN, ODD)


@dataclass
class Call:
    """A call to be made: of dbProcess of a record, or of a put to its VAL. ``calls`` are those it makes, in order."""

    kind: SpanKind
    record: str
    calls: list[Call] = field(default_factory=list)
    value: float = 0.0

    def walk(self) -> Iterator[Call]:
        """This call and all below it, parents first."""
        yield self
        for call in self.calls:
            yield from call.walk()


class ImageIoc:
    """An IOC that is nothing but its memory: what the tracer asks of :class:`epicsmon.ioc.Ioc`."""

    def __init__(self, records: Sequence[RecordSpec], types: Sequence[TypeSpec] = ALL_TYPES) -> None:
        self.name = "image"
        self.pid = PID
        self.identity = ProcessIdentity(PID, 1234)
        self.image = IocImage(types, records)
        self._database = Database(self.image.memory(), self.image.pdbbase)

    @property
    def record_types(self) -> RecordTypes:
        return self._database.record_types

    def record_at(self, address: int) -> Record | None:
        return self._database.record_at(address)

    def traced(self) -> TracedIoc:
        """The IOC as the tracer knows it."""
        return TracedIoc(cast("Ioc", self), "boot")

    def window(self, record: str, subject: TracedIoc) -> bytes:
        """What an event of dbProcess carries of a record."""
        start = self.image.record_addresses[record] - self.image.base + subject.layout.offset
        return bytes(self.image.heap[start : start + subject.layout.size]).ljust(subject.layout.size, b"\0")


class CallRecorder:
    """Makes calls in the threads of an IOC and gives the events that the programs would send."""

    def __init__(self, ioc: ImageIoc, subject: TracedIoc) -> None:
        self._ioc = ioc
        self._subject = subject
        self._clock = itertools.count(1_000_000, 700)

    def make(self, call: Call, tid: int = PID, comm: bytes = b"CAS-client") -> list[bytes]:
        """The events of one outermost call, each child before its parent."""
        events: list[bytes] = []
        self._make(call, tid, comm, 0, 0, 0, events)
        return events

    def _make(self, call: Call, tid: int, comm: bytes, depth: int, parent: int, root: int, events: list[bytes]) -> None:
        start = next(self._clock)
        for inner in call.calls:
            self._make(inner, tid, comm, depth + 1, start, root or start, events)
        address = self._ioc.image.record_addresses[call.record]
        header = kernel.Call(
            start=start,
            end=next(self._clock),
            parent=parent,
            root=root or start,
            subject=address,
            thread=PID << 32 | tid,
            kind=NUMBERS[call.kind],
            depth=depth,
            comm=comm if depth == 0 else b"",
            returned=0,
            flags=0,
            pad=0,
        )
        if call.kind is SpanKind.PROCESS:
            events.append(pack(kernel.Call, header) + self._ioc.window(call.record, self._subject))
        elif call.kind is SpanKind.PUT_NOTIFY:
            events.append(pack(kernel.Call, header))
        else:
            events.append(pack(kernel.PutCall, self._put(header, call)))

    def _put(self, header: kernel.Call, call: Call) -> kernel.PutCall:
        image = self._ioc.image
        record_type = next(name for name, owner in image.type_addresses.items() if self._is_of(call.record, owner))
        descriptor = image.descriptors[record_type, "VAL"]
        place = header.subject + image.offsets[record_type, "VAL"]
        return kernel.PutCall(
            call=header,
            address=struct.pack("<QQQ16x", header.subject, place, descriptor),
            count=1,
            type=image.numbers["DOUBLE"],
            value_size=8,
            value=struct.pack("<d", call.value),
        )

    def _is_of(self, record: str, owner: int) -> bool:
        found = self._ioc.record_at(self._ioc.image.record_addresses[record])
        return found is not None and found.record_type.address == owner


_kinds = st.sampled_from([SpanKind.PROCESS, SpanKind.PROCESS, SpanKind.PUT, SpanKind.PUT_FIELD])


def trees(records: Sequence[str], max_leaves: int = 12) -> st.SearchStrategy[Call]:
    """Calls of dbProcess and of puts, nested and side by side in every way."""
    names = st.sampled_from(list(records))
    leaf = st.builds(Call, _kinds, names)
    return st.recursive(
        leaf,
        lambda inner: st.builds(Call, _kinds, names, st.lists(inner, max_size=4)),
        max_leaves=max_leaves,
    )

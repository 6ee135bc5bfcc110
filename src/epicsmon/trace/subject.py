"""One IOC under the tracer: its names, its layout, its clock-independent ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epicsmon.ioc import IocError, decode_buffer
from epicsmon.trace.identity import CallIds
from epicsmon.trace.layout import TraceLayout
from pybpf.errors import KernelError

if TYPE_CHECKING:
    from epicsmon.events import Value
    from epicsmon.ioc import Ioc, Record
    from epicsmon.trace.calls import PutArguments

_NOT_KNOWN_LIMIT = 10_000


class TracedIoc:
    """What the tracer knows of one process; errors of reading it are as for :class:`epicsmon.ioc.Database`."""

    def __init__(self, ioc: Ioc, boot: str) -> None:
        self.ioc = ioc
        self.name = ioc.name
        self.layout = TraceLayout(ioc.record_types)
        self.ids = CallIds(boot, ioc.pid, ioc.identity.start_ticks)
        self._unknown: set[int] = set()

    def record(self, address: int) -> Record | None:
        """The record at ``address``; None when there is none, or the process has ended and it was never seen before."""
        if not address or address in self._unknown:
            return None
        try:
            found = self.ioc.record_at(address)
        except (IocError, KernelError):
            return None
        if found is None and len(self._unknown) < _NOT_KNOWN_LIMIT:
            self._unknown.add(address)
        return found

    def field_name(self, put: PutArguments) -> str | None:
        """The name of the field that was put to."""
        found = self.layout.types.field_of(put.descriptor)
        return None if found is None else found[1].name

    def put_value(self, put: PutArguments) -> Value:
        """The value that was put: whole when it is no longer than what an event carries, else its first elements."""
        dbf = self.layout.types.numbering.dbr(put.dbr_type)
        return None if dbf is None else decode_buffer(dbf, put.value, put.elements)

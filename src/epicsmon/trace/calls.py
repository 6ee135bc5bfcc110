"""Events of the kernel program as Python values."""

from __future__ import annotations

import struct
from typing import NamedTuple

from epicsmon.events import SpanKind
from epicsmon.programs import process_trace as kernel

KINDS = {
    kernel.PROCESS: SpanKind.PROCESS,
    kernel.PUT_FIELD: SpanKind.PUT_FIELD,
    kernel.PUT: SpanKind.PUT,
    kernel.PUT_NOTIFY: SpanKind.PUT_NOTIFY,
}
_CALL = struct.Struct("=QQQQQQqBBHI16s")
_PUT = struct.Struct(f"=40sqII{kernel.VALUE_SIZE}s")
_ADDRESS = struct.Struct("<QQQ")


class PutArguments(NamedTuple):
    """What dbPut or dbPutField was given: dbAddr's precord, pfield and pfldDes, and the value as it lay in memory."""

    record: int
    field: int
    descriptor: int
    dbr_type: int
    elements: int
    value: bytes


class RawCall(NamedTuple):
    """One call, decoded but not yet named; see :class:`epicsmon.programs.process_trace.Call` for the fields."""

    start: int
    end: int
    parent: int
    root: int
    subject: int
    pid: int
    tid: int
    kind: SpanKind
    depth: int
    readable: bool
    whole: bool
    comm: bytes
    window: bytes
    put: PutArguments | None


class BadCall(ValueError):
    """Bytes that are no event of the program; counted as lost."""


def decode_call(data: memoryview) -> RawCall:
    """The call in one record of the ring.

    Raises:
        BadCall: the record is too short or of no known kind.
    """
    try:
        start, end, parent, root, subject, thread, _, kind, depth, flags, _, comm = _CALL.unpack_from(data)
        put = None
        window = b""
        if kind in (kernel.PUT, kernel.PUT_FIELD):
            put = _put(data)
        elif len(data) > _CALL.size:
            window = bytes(data[_CALL.size :])
        readable, whole = not flags & kernel.UNREADABLE, not flags & kernel.CUT
        pid, tid = thread >> 32, thread & 0xFFFFFFFF
        name = comm.split(b"\0", 1)[0] if depth == 0 else b""
        which = KINDS[kind]
        return RawCall(start, end, parent, root, subject, pid, tid, which, depth, readable, whole, name, window, put)
    except (struct.error, KeyError) as error:
        raise BadCall(f"a record of {len(data)} bytes is no event: {error}") from error


def _put(data: memoryview) -> PutArguments:
    address, count, dbr_type, size, value = _PUT.unpack_from(data, _CALL.size)
    record, field, descriptor = _ADDRESS.unpack_from(address)
    return PutArguments(record, field, descriptor, dbr_type, count, value[: min(size, kernel.VALUE_SIZE)])

from __future__ import annotations

import struct

import pytest
from epicsmon.programs import process_trace as kernel
from hypothesis import given
from hypothesis import strategies as st

from epicsmon.events import SpanKind
from epicsmon.trace.calls import BadCall, RawCall, decode_call
from pybpf.types import pack

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
counts = st.integers(0, 2**63 - 1)


@st.composite
def headers(draw: st.DrawFn, kinds: tuple[int, ...]) -> kernel.Call:
    return kernel.Call(
        start=draw(u64),
        end=draw(u64),
        parent=draw(u64),
        root=draw(u64),
        subject=draw(u64),
        thread=draw(u64),
        returned=draw(st.integers(-(2**63), 2**63 - 1)),
        kind=draw(st.sampled_from(kinds)),
        depth=draw(st.integers(0, 255)),
        flags=draw(st.integers(0, 3)),
        comm=draw(st.binary(max_size=16)),
        pad=0,
    )


def check_header(call: RawCall, sent: kernel.Call) -> None:
    assert (call.start, call.end, call.parent, call.root) == (sent.start, sent.end, sent.parent, sent.root)
    assert (call.subject, call.depth) == (sent.subject, sent.depth)
    assert call.pid << 32 | call.tid == sent.thread
    assert call.readable == (not sent.flags & kernel.UNREADABLE)
    assert call.whole == (not sent.flags & kernel.CUT)
    assert call.comm == (sent.comm.split(b"\0")[0] if sent.depth == 0 else b"")


@given(headers((kernel.PROCESS, kernel.PUT_NOTIFY)), st.binary(max_size=400))
def test_what_the_program_sends_of_a_record_is_understood(sent: kernel.Call, window: bytes) -> None:
    call = decode_call(memoryview(pack(kernel.Call, sent) + window))
    check_header(call, sent)
    assert call.kind is (SpanKind.PROCESS if sent.kind == kernel.PROCESS else SpanKind.PUT_NOTIFY)
    assert call.window == window
    assert call.put is None


@given(headers((kernel.PUT, kernel.PUT_FIELD)), u64, u64, u64, counts, u32, u32, st.binary(min_size=64, max_size=64))
def test_what_the_program_sends_of_a_put_is_understood(
    sent: kernel.Call, record: int, field: int, descriptor: int, count: int, dbr: int, size: int, value: bytes
) -> None:
    address = struct.pack("<QQQ", record, field, descriptor) + bytes(16)
    event = kernel.PutCall(call=sent, address=address, count=count, type=dbr, value_size=size, value=value)
    call = decode_call(memoryview(pack(kernel.PutCall, event)))
    check_header(call, sent)
    assert call.kind is (SpanKind.PUT if sent.kind == kernel.PUT else SpanKind.PUT_FIELD)
    assert call.window == b""
    assert call.put is not None
    assert (call.put.record, call.put.field, call.put.descriptor) == (record, field, descriptor)
    assert (call.put.dbr_type, call.put.elements) == (dbr, count)
    assert call.put.value == value[: min(size, kernel.VALUE_SIZE)]


@given(st.binary(max_size=400))
def test_any_bytes_are_a_call_or_refused(data: bytes) -> None:
    try:
        call = decode_call(memoryview(data))
    except BadCall:
        return
    assert call.kind in SpanKind


@given(headers((kernel.PUT, kernel.PUT_FIELD)), st.integers(0, kernel.PutCall.SIZE - 1))
def test_a_record_that_was_cut_short_is_refused(sent: kernel.Call, length: int) -> None:
    data = pack(kernel.Call, sent) + bytes(kernel.PutCall.SIZE - kernel.Call.SIZE)
    with pytest.raises(BadCall, match=f"{length} bytes"):
        decode_call(memoryview(data)[:length])


@pytest.mark.parametrize("kind", [0, 5, 255])
def test_a_kind_that_no_program_sends_is_refused(kind: int) -> None:
    call = kernel.Call.unpack(bytes(kernel.Call.SIZE))
    call.kind = kind
    with pytest.raises(BadCall):
        decode_call(memoryview(pack(kernel.Call, call)))

"""Follows the calls by which records process: one event for each call, written when it returns.

Each thread has a stack of its open calls, so that a call knows the one that it runs in: what dbProcess calls is its
child, what returned before is a sibling. A frame is known by the stack pointer at its entry, so a return finds its own
frame and no other: frames below it were left without a return (a removed probe, longjmp) and are dropped, and a return
whose entry was not seen (probes are set one after another) finds none.
"""

from __future__ import annotations

from pybpf.hooks.uprobe import uprobe_session
from pybpf.lang import (
    Constant,
    Registers,
    Struct,
    after,
    array,
    byte_array,
    get_current_comm,
    get_current_pid_tgid,
    ktime_get_ns,
    probe_read_user,
    s64,
    session_is_return,
    u8,
    u16,
    u32,
    u64,
)
from pybpf.maps import Array, HashMap, RingBuffer
from pybpf.object import BpfObject

MAX_DEPTH = 64
"""Open calls of one thread that are followed; deeper ones are counted. The kernel itself keeps no more return probes
open in a thread (MAX_URETPROBE_DEPTH, include/linux/uprobes.h)."""

COMM_SIZE = 16
VALUE_SIZE = 64

PROCESS = 1
PUT_FIELD = 2
PUT = 3
PUT_NOTIFY = 4

UNREADABLE = 1
"""Flag: the memory of the record, or of the value, could not be read when the call returned."""
CUT = 2
"""Flag: only the part of the window that lies within every record could be read."""

RETURN_ADDRESS = 8
"""By how much the stack pointer at the return may be above that at the entry: on x86-64 the return address is gone."""

NO_WAKEUP = 1  # BPF_RB_NO_WAKEUP: the reader looks by itself, and the producer is four times cheaper


class Frame(Struct):
    """An open call."""

    start: u64
    stack_pointer: u64
    subject: u64
    buffer: u64
    count: u64
    type: u32
    pad: u32


class Thread(Struct):
    """The open calls of a thread, and what was counted in it; only the thread itself writes here."""

    depth: u32
    pad: u32
    seen: u64
    ring_full: u64
    too_deep: u64
    abandoned: u64
    frames: list[Frame] = array(Frame, MAX_DEPTH)


class Call(Struct):
    """What every event begins with. Times are CLOCK_MONOTONIC in ns.

    ``start`` is also the call's identity within its thread; ``parent`` is that of the call it ran in (0: none),
    ``root`` that of the outermost one. ``subject`` is the first argument: dbCommon * of dbProcess, DBADDR * of dbPut
    and dbPutField, processNotify * of dbProcessNotify. ``comm`` is the thread's name, filled in at the root only.
    """

    start: u64
    end: u64
    parent: u64
    root: u64
    subject: u64
    thread: u64
    returned: s64
    kind: u8
    depth: u8
    flags: u16
    pad: u32
    comm: bytes = byte_array(COMM_SIZE)


class PutCall(Struct):
    """An event of dbPut or dbPutField: also its DBADDR (dbAddr.h), its arguments, the value as it was given."""

    call: Call
    address: bytes = byte_array(40)
    count: s64
    type: u32
    value_size: u32
    value: bytes = byte_array(VALUE_SIZE)


class ProcessTrace(BpfObject):
    """The programs for one build of the library that holds dbProcess; its layout comes in as constants."""

    threads = HashMap(key=u64, value=Thread, max_entries=2048)
    """By pid_tgid. The reader takes out those that have ended."""
    blank = Array(value=Thread, max_entries=1)
    calls = RingBuffer(4 << 20)
    untracked = Array(value=u64, max_entries=1)
    """Calls not followed because the table of threads is full."""

    window_offset = Constant(u32, default=0)
    """Where in a record the bytes begin that an event of dbProcess carries: dbCommon's STAT up to VAL."""
    window_size = Constant(u32, default=0)
    certain_size = Constant(u32, default=0)
    """How many of them lie within every record; more may be behind the end of mapped memory."""
    element_sizes = Constant(u64, default=0)
    """Bytes of one element by DBR type, four bits each, 15 standing for a string of 40."""

    @uprobe_session
    def process(self, ctx: Registers) -> int:
        """``long dbProcess(dbCommon *precord)``."""
        if session_is_return():
            return self.leave(ctx, PROCESS)
        return self.enter(ctx, PROCESS)

    @uprobe_session
    def put_field(self, ctx: Registers) -> int:
        """``long dbPutField(DBADDR *paddr, short dbrType, const void *pbuffer, long nRequest)``."""
        if session_is_return():
            return self.leave(ctx, PUT_FIELD)
        return self.enter(ctx, PUT_FIELD)

    @uprobe_session
    def put(self, ctx: Registers) -> int:
        """``long dbPut(DBADDR *paddr, short dbrType, const void *pbuffer, long nRequest)``."""
        if session_is_return():
            return self.leave(ctx, PUT)
        return self.enter(ctx, PUT)

    @uprobe_session
    def put_notify(self, ctx: Registers) -> int:
        """``void dbProcessNotify(processNotify *ppn)``."""
        if session_is_return():
            return self.leave(ctx, PUT_NOTIFY)
        return self.enter(ctx, PUT_NOTIFY)

    def enter(self, ctx: Registers, kind: int) -> int:
        """Push a frame; 1 when there is no room for it, which spares the return probe where the kernel can."""
        me = get_current_pid_tgid()
        thread = self.threads.lookup(me)
        if thread is None:
            empty = self.blank.lookup(0)
            if empty is None:
                return 1
            self.threads.update(me, empty)
            thread = self.threads.lookup(me)
            if thread is None:
                self.untracked[0] += 1
                return 1
        sp = ctx.stack_pointer
        depth = thread.depth
        while 0 < depth <= MAX_DEPTH:
            if thread.frames[depth - 1].stack_pointer > sp:
                break
            depth -= 1
            thread.abandoned = thread.abandoned + 1
        thread.seen = thread.seen + 1
        thread.depth = depth
        if depth >= MAX_DEPTH:
            thread.too_deep = thread.too_deep + 1
            return 1
        thread.depth = depth + 1
        frame = thread.frames[depth]
        frame.stack_pointer = sp
        frame.subject = ctx.argument(0)
        if kind in (PUT, PUT_FIELD):
            frame.type = u16(ctx.argument(1))
            frame.buffer = ctx.argument(2)
            frame.count = ctx.argument(3)
        frame.start = ktime_get_ns()
        return 0

    def leave(self, ctx: Registers, kind: int) -> int:
        """Pop the frame and send what the call left behind."""
        now = ktime_get_ns()
        me = get_current_pid_tgid()
        thread = self.threads.lookup(me)
        if thread is None:
            return 0
        sp = ctx.stack_pointer
        depth = thread.depth
        while 0 < depth <= MAX_DEPTH:
            if thread.frames[depth - 1].stack_pointer + RETURN_ADDRESS >= sp:
                break
            depth -= 1
            thread.abandoned = thread.abandoned + 1
        thread.depth = depth
        if depth == 0 or depth > MAX_DEPTH:
            return 0
        depth -= 1
        frame = thread.frames[depth]
        if frame.stack_pointer > sp:
            return 0
        thread.depth = depth
        if kind in (PUT, PUT_FIELD):
            put = self.calls.reserve(PutCall)
            if put is None:
                thread.ring_full = thread.ring_full + 1
                return 0
            self.describe_put(put, frame)
            call = put.call
        else:
            tail = self.window_size if kind == PROCESS else 0
            bare = self.calls.reserve(Call, tail=tail)
            if bare is None:
                thread.ring_full = thread.ring_full + 1
                return 0
            call = bare
            call.flags = 0
            place = frame.subject + self.window_offset
            if tail > 0 and probe_read_user(after(call), tail, place) != 0:
                call.flags = CUT
                if probe_read_user(after(call), self.certain_size, place) != 0:
                    call.flags = UNREADABLE
        call.start = frame.start
        call.end = now
        call.subject = frame.subject
        call.thread = me
        call.returned = ctx.return_value
        call.kind = kind
        call.depth = depth
        if depth == 0:
            call.parent = 0
            call.root = frame.start
            get_current_comm(call.comm, COMM_SIZE)
        else:
            call.parent = thread.frames[depth - 1].start
            call.root = thread.frames[0].start
        self.calls.submit(call, NO_WAKEUP)
        return 0

    def describe_put(self, put: PutCall, frame: Frame) -> None:
        """Fill in where a value was put and the value."""
        put.call.flags = 0
        put.type = frame.type
        put.count = frame.count
        element = (self.element_sizes >> (4 * (frame.type & 15))) & 15
        if element == 15:
            element = 40
        size = min(element * min(frame.count, VALUE_SIZE), VALUE_SIZE)
        put.value_size = size
        if probe_read_user(put.address, 40, frame.subject) != 0:
            put.call.flags = UNREADABLE
        if probe_read_user(put.value, size, frame.buffer) != 0:
            put.call.flags = UNREADABLE

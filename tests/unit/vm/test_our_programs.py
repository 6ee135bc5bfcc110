"""The programs of this repository, on whatever packets and registers: results, never faults."""

from __future__ import annotations

import functools
import struct

from epicsmon.programs.ca_filter import CaFilter
from epicsmon.programs.process_trace import ProcessTrace
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpf.vm import VmProgram, run_in_vm

ETHERNET = bytes(12) + b"\x08\x00"


def tcp_frame(flags: int, ports: tuple[int, int], sequence: int, payload: bytes) -> bytes:
    """A segment over IPv4."""
    tcp = struct.pack(">HHIIBBHHH", *ports, sequence, 0, 5 << 4, flags, 1000, 0, 0) + payload
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, 0x7F00_0001, 0x7F00_0002)
    return ETHERNET + ip + tcp


ca_messages = st.builds(
    lambda command, size, rest, body: struct.pack(">HHHHII", command, size, rest, 1, 2, 3) + body,
    st.sampled_from([0, 1, 4, 12, 15, 18, 19, 20, 21, 22, 23]),
    st.sampled_from([0, 8, 16, 0xFFFF]),
    st.integers(0, 40),
    st.binary(max_size=24),
)
frames = st.one_of(
    st.binary(max_size=80).map(lambda data: ETHERNET + data),
    st.builds(
        tcp_frame,
        st.sampled_from([0x02, 0x12, 0x10, 0x18, 0x11, 0x04]),
        st.sampled_from([(5064, 40000), (40000, 5064), (1, 2)]),
        st.integers(0, 100),
        st.one_of(st.binary(max_size=60), st.lists(ca_messages, max_size=4).map(b"".join)),
    ),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(frames, min_size=1, max_size=15))
def test_the_filter_takes_any_packets(packets: list[bytes]) -> None:
    programs = list(run_in_vm_once(CaFilter).values())
    for packet in packets:
        for program in programs:
            program(packet)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.binary(min_size=168, max_size=168), st.booleans()), min_size=1, max_size=10))
def test_the_trace_takes_any_registers(calls: list[tuple[bytes, bool]]) -> None:
    for program in run_in_vm_once(ProcessTrace).values():
        for registers, is_return in calls:
            program.machine.is_return = is_return
            program(registers)


@functools.cache
def run_in_vm_once(kind: type) -> dict[str, VmProgram]:
    """The programs of a class, compiled once; their maps live on, as those of a loaded object do."""
    return dict(run_in_vm(kind()).programs)

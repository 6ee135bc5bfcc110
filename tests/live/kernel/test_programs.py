"""Loading programs into the running kernel, and what it says of them."""

from __future__ import annotations

import errno
import json
import struct
import subprocess

import pytest

from pybpf.asm import R0, R1, Size, SourceLine, assemble, encode, exit_, load, mov
from pybpf.errors import KernelError, ProgramRejected
from pybpf.kernel.constants import LogLevel, MapType, ProgramType
from pybpf.kernel.info import map_by_id, map_info, program_by_id, program_ids, program_info
from pybpf.kernel.map_ops import map_create
from pybpf.kernel.prog_ops import btf_load, prog_bind_map, prog_load, prog_test_run
from pybpf.verifier import VerifierError
from tests.support.tiny_programs import PACKET, count_into, return_value


def test_a_program_runs_on_test_data() -> None:
    with prog_load(ProgramType.SOCKET_FILTER, return_value(7), name="seven") as program:
        run = prog_test_run(program, PACKET, repeat=10)
    assert (run.return_value, run.data) == (7, PACKET)


def test_a_rejection_carries_the_log_of_the_verifier() -> None:
    with pytest.raises(ProgramRejected) as caught:
        prog_load(ProgramType.SOCKET_FILTER, encode(assemble([exit_()])), name="bad")
    assert caught.value.errno == errno.EACCES
    assert "R0 !read_ok" in caught.value.log
    assert not caught.value.truncated


def test_the_log_of_a_program_that_loads_is_given_on_request() -> None:
    logs: list[str] = []
    code = return_value()
    prog_load(ProgramType.SOCKET_FILTER, code, log_level=LogLevel.STATISTICS, on_log=logs.append).close()
    assert "processed 2 insns" in logs[0]


def test_an_attach_type_that_does_not_fit_is_no_rejection_by_the_verifier() -> None:
    with pytest.raises(KernelError, match="does not know this program type, attach type") as caught:
        prog_load(ProgramType.SK_LOOKUP, return_value())
    assert not isinstance(caught.value, ProgramRejected)


def test_half_an_instruction_never_reaches_the_kernel() -> None:
    with pytest.raises(ValueError, match="whole 8-byte instructions"):
        prog_load(ProgramType.SOCKET_FILTER, return_value()[:-1])


def test_what_the_kernel_says_of_a_program() -> None:
    code = return_value(1)
    with prog_load(ProgramType.SOCKET_FILTER, code, name="known") as program:
        info = program_info(program, translated=True)
        assert (info.name, info.type, info.map_ids) == ("known", ProgramType.SOCKET_FILTER, ())
        assert info.translated == code
        assert info.verified_instructions == 2
        assert info.id in set(program_ids())
        with program_by_id(info.id) as again:
            assert program_info(again) == program_info(program)
    with pytest.raises(KernelError) as caught:
        program_by_id(0x7FFFFFF0)
    assert caught.value.errno == errno.ENOENT


def test_a_program_names_the_maps_it_uses() -> None:
    with map_create(MapType.ARRAY, 4, 8, 1, name="counts") as counts, map_create(MapType.ARRAY, 4, 8, 1) as other:
        with prog_load(ProgramType.SOCKET_FILTER, count_into(counts.fileno())) as program:
            assert program_info(program).map_ids == (map_info(counts).id,)
            prog_bind_map(program, other)
            assert set(program_info(program).map_ids) == {map_info(counts).id, map_info(other).id}
        with map_by_id(map_info(counts).id) as again:
            assert map_info(again).name == "counts"


@pytest.mark.needs("bpftool")
def test_bpftool_sees_the_same_program() -> None:
    with prog_load(ProgramType.SOCKET_FILTER, return_value(), name="seen") as program:
        info = program_info(program)
        shown = subprocess.run(
            ["bpftool", "-j", "prog", "show", "id", str(info.id)], capture_output=True, check=True, text=True
        )
    seen = json.loads(shown.stdout)
    assert (seen["name"], seen["tag"], seen["type"]) == ("seen", info.tag, "socket_filter")


def tiny_btf(strings: bytes) -> bytes:
    """INT int; FUNC_PROTO int(); FUNC main. Layout: Documentation/bpf/btf.rst."""
    at = strings.index
    types = struct.pack("=IIII", at(b"int"), 1 << 24, 4, 1 << 24 | 32)
    types += struct.pack("=III", 0, 13 << 24, 1)
    types += struct.pack("=III", at(b"main"), 12 << 24, 2)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


def test_with_line_info_the_rejection_is_on_a_python_line() -> None:
    strings = b"\0int\0main\0trace.py\0    x = ctx[99999]\0"
    source = SourceLine("trace.py", 12, 5, "    x = ctx[99999]")
    program = assemble([mov(R0, 0), load(Size.DW, R1, R1, 9999).at(source), exit_()])
    lines = b"".join(
        struct.pack("=IIII", slot, strings.index(b"trace.py"), strings.index(b"    x ="), line << 10 | 5)
        for slot, line in ((0, 11), (1, 12))
    )
    with btf_load(tiny_btf(strings)) as btf, pytest.raises(ProgramRejected) as caught:
        prog_load(
            ProgramType.SOCKET_FILTER,
            encode(program),
            name="line",
            btf_fd=btf,
            func_info=struct.pack("=II", 0, 3),
            line_info=lines,
        )
    error = VerifierError.from_rejection(caught.value, "line", program)
    from_log_alone = VerifierError.from_rejection(caught.value, "line")
    assert error.source == source
    assert from_log_alone.source == SourceLine("trace.py", 12, text="x = ctx[99999]")
    assert error.instruction == 1
    assert error.registers["R1"].startswith("ctx(")
    assert "invalid bpf_context access" in error.reason


def test_btf_that_is_wrong_is_refused_with_the_checkers_words() -> None:
    broken = bytearray(tiny_btf(b"\0int\0main\0"))
    broken[24 + 16 + 8] = 99
    with pytest.raises(ProgramRejected, match="load BTF") as caught:
        btf_load(bytes(broken))
    assert "FUNC_PROTO" in caught.value.log

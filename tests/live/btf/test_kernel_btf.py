"""Against the running kernel: its BTF agrees with bpftool's reading, and it takes what the builder writes."""

from __future__ import annotations

import re
import subprocess

import pytest

from pybpf.asm import R0, R1, SourceLine, assemble, call_function, encode, exit_, load_imm64, mov, slot_offsets
from pybpf.btf import (
    BtfBuilder,
    FuncInfo,
    KernelBtf,
    Kind,
    Member,
    SectionItem,
    Type,
    add_type,
    encode_func_info,
    line_info_of,
    member,
    size_of,
)
from pybpf.kernel.constants import LogLevel, ProgramType
from pybpf.kernel.prog_ops import btf_load, prog_load
from pybpf.types import Struct, byte_array, u32, u64


class Call(Struct):
    record: u64
    depth: u32
    comm: bytes = byte_array(16)


@pytest.fixture(scope="module")
def kernel() -> KernelBtf:
    return KernelBtf.load()


def name_of(decoded: Type) -> str:
    return getattr(decoded, "name", "")


@pytest.mark.needs("btf", "bpftool")
def test_every_type_of_the_kernel_is_what_bpftool_says(kernel: KernelBtf) -> None:
    command = ["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "raw"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    truth = re.findall(r"^\[(\d+)\] ([A-Z0-9_]+) '([^']*)'(?: size=(\d+))?", output, re.MULTILINE)
    assert len(truth) == len(kernel) > 10_000
    for (number, kind, name, size), (type_id, decoded) in zip(truth, kernel.types()):
        assert type_id == int(number)
        found = kernel.kind(type_id)
        assert found is not None
        assert found.name == kind
        assert (name_of(decoded) or "(anon)") == name
        if size:
            assert getattr(decoded, "size", None) == int(size)


@pytest.mark.needs("btf")
def test_types_and_members_of_the_kernel_are_found(kernel: KernelBtf) -> None:
    task = kernel.require("task_struct", Kind.STRUCT)
    assert size_of(kernel, task) > 1000
    pid, tgid = member(kernel, task, "pid"), member(kernel, task, "tgid")
    assert tgid.offset == pid.offset + 4
    assert size_of(kernel, member(kernel, task, "comm").type) == 16
    assert kernel.find("no_such_function_anywhere", Kind.FUNC) is None
    assert [parameter.name for parameter in kernel.func_proto("bpf_prog_load").params][:1] == ["attr"]


@pytest.fixture
def builder() -> BtfBuilder:
    return BtfBuilder()


def test_the_kernel_takes_every_kind_the_builder_writes(builder: BtfBuilder) -> None:
    number = builder.int_("int", 4, signed=True)
    call = add_type(builder, Call)
    builder.int_("unsigned long long", 8)
    builder.int_("_Bool", 1, boolean=True)
    builder.enum("state", {"IDLE": -1, "BUSY": 2})
    builder.enum("wide", {"HUGE": 1 << 40}, size=8)
    variable = builder.var("counter", number)
    builder.datasec(".data", 4, [SectionItem(variable, 0, 4)])
    inner = builder.struct("", 4, [Member("x", number, 0)])
    builder.union("u", 8, [Member("a", number, 0), Member("", inner, 0)])
    builder.struct("bits", 4, [Member("low", number, 0, 3), Member("high", number, 3, 5)])
    builder.decl_tag("tag", call, 0)
    builder.ptr(builder.type_tag("user", number))
    builder.ptr(builder.const(builder.volatile(number)))
    builder.typedef("number", number)
    builder.func("function", builder.func_proto(number, [("ctx", builder.ptr())]))
    btf_load(builder.to_bytes()).close()


def test_the_verifier_names_the_lines_of_python(builder: BtfBuilder) -> None:
    main_line = SourceLine("programs/trace.py", 3, 5, "    return helper(1)")
    helper_line = SourceLine("programs/trace.py", 9, 5, "    return x")
    number = builder.int_("int", 4, signed=True)
    main = builder.func("main", builder.func_proto(number, [("ctx", builder.ptr())]))
    helper = builder.func("helper", builder.func_proto(number, [("x", number)]))
    program = assemble(
        [
            mov(R1, 1).at(main_line),
            load_imm64(R0, 1 << 40),
            call_function("helper"),
            exit_(),
            mov(R0, R1).labelled("helper").at(helper_line),
            exit_(),
        ]
    )
    begin = slot_offsets(program)[4]
    lines = line_info_of(builder, program, {0, begin})
    logs: list[str] = []
    with (
        btf_load(builder.to_bytes()) as btf,
        prog_load(
            ProgramType.SOCKET_FILTER,
            encode(program),
            name="main",
            btf_fd=btf,
            func_info=encode_func_info([FuncInfo(0, main), FuncInfo(begin, helper)]),
            line_info=lines,
            log_level=LogLevel.STATES,
            on_log=logs.append,
        ),
    ):
        pass
    log = "".join(logs)
    assert "; return helper(1)" in log
    assert "; return x" in log

"""The reader finds types by name, continues a base, and survives any bytes."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpf.btf import (
    Btf,
    BtfBuilder,
    BtfError,
    Composite,
    Func,
    FuncProto,
    KernelBtf,
    Kind,
    Member,
    Parameter,
    Place,
    TypeNotFound,
    member,
    size_of,
    strip,
)
from pybpf.errors import UnsupportedFeature


def blob(types: bytes, strings: bytes = b"\0") -> bytes:
    """BTF out of two sections."""
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


def record(name: int, kind: int, last: int, *tail: int, vlen: int = 0, flag: int = 0) -> bytes:
    """One type."""
    return struct.pack(f"={3 + len(tail)}I", name, flag << 31 | kind << 24 | vlen, last, *tail)


@pytest.fixture
def sample() -> BtfBuilder:
    builder = BtfBuilder()
    number = builder.int_("int", 4, signed=True)
    inner = builder.struct("", 8, [Member("x", number, 0), Member("y", number, 32)])
    builder.struct(
        "outer", 24, [Member("a", number, 0), Member("", inner, 64), Member("b", builder.array(number, 2), 128)]
    )
    builder.func("outer", builder.func_proto(number, [("ctx", builder.ptr())]))
    builder.struct("bits", 4, [Member("low", number, 0, 3), Member("high", number, 3, 29)])
    return builder


def test_types_are_found_by_name_and_kind(sample: BtfBuilder) -> None:
    btf = Btf(sample.to_bytes())
    struct_id, func_id = btf.find("outer", Kind.STRUCT), btf.find("outer", Kind.FUNC)
    assert struct_id is not None
    assert func_id is not None
    assert isinstance(btf.type(struct_id), Composite)
    assert isinstance(btf.type(func_id), Func)
    assert btf.find("outer", Kind.UNION) is None
    assert btf.find("oute", Kind.STRUCT) is None
    assert btf.find("uter", Kind.STRUCT) is None
    assert btf.find("", Kind.STRUCT) is None
    assert btf.kind(func_id) is Kind.FUNC
    assert btf.kind(0) is None
    assert btf.type(0) is None


def test_the_first_of_several_is_found() -> None:
    data = blob(record(1, Kind.STRUCT, 4) + record(1, Kind.STRUCT, 8), b"\0s\0")
    assert Btf(data).find("s", Kind.STRUCT) == 1


def test_a_number_that_looks_like_the_name_is_not_taken_for_it() -> None:
    # The size of the first type is the offset of the second one's name.
    data = blob(record(0, Kind.STRUCT, 1) + record(1, Kind.STRUCT, 8), b"\0s\0")
    assert Btf(data).find("s", Kind.STRUCT) == 2


def test_names_may_be_tails_of_other_strings() -> None:
    data = blob(record(1, Kind.STRUCT, 4) + record(6, Kind.STRUCT, 8), b"\0task_struct\0")
    assert Btf(data).find("struct", Kind.STRUCT) == 2
    assert Btf(data).find("task_struct", Kind.STRUCT) == 1
    assert Btf(data).find("ruct", Kind.STRUCT) is None


def test_prototypes_are_found_by_the_name_of_the_function(sample: BtfBuilder) -> None:
    btf = Btf(sample.to_bytes(), name="sample")
    proto = btf.func_proto("outer")
    assert isinstance(proto, FuncProto)
    assert proto.params == (Parameter("ctx", sample.ptr()),)
    with pytest.raises(TypeNotFound, match="sample has no func named bits") as caught:
        btf.func_proto("bits")
    assert (caught.value.name, caught.value.kind) == ("bits", "func")


def test_a_function_without_prototype_is_an_error() -> None:
    data = blob(record(1, Kind.FUNC, 0), b"\0f\0")
    with pytest.raises(BtfError, match="no prototype") as caught:
        Btf(data).func_proto("f")
    assert caught.value.type_id == 1


def test_a_split_blob_continues_its_base(sample: BtfBuilder) -> None:
    base = Btf(sample.to_bytes())
    number = base.require("int", Kind.INT)
    next_id, strings = len(base) + 1, base.string_end
    own = b"module_struct\0count\0"
    data = blob(
        record(strings, Kind.STRUCT, 4, strings + 14, number, 0, vlen=1) + record(0, Kind.PTR, next_id),
        own,
    )
    split = Btf(data, base)
    assert len(split) == len(base) + 2
    assert split.find("module_struct", Kind.STRUCT) == next_id
    assert split.type(next_id) == Composite("module_struct", 4, (Member("count", number, 0),))
    assert split.find("outer", Kind.FUNC) == base.find("outer", Kind.FUNC)
    assert split.type(number) == base.type(number)
    assert [type_id for type_id, _ in split.types()] == list(range(1, len(split) + 1))
    with pytest.raises(BtfError, match="no such type"):
        split.type(next_id + 2)


def test_sizes_and_members_are_found_through_typedefs_and_anonymous_structs(sample: BtfBuilder) -> None:
    outer = sample.int_("int", 4, signed=True)
    alias = sample.typedef("alias", sample.const(sample.volatile(outer)))
    sample.struct("whole", 8, [Member("head", alias, 0), Member("tail", alias, 32)])
    btf = Btf(sample.to_bytes())
    number = btf.require("int", Kind.INT)
    struct_id = btf.require("outer", Kind.STRUCT)
    assert strip(btf, alias) == number
    assert size_of(btf, alias) == 4
    assert size_of(btf, struct_id) == 24
    assert size_of(btf, member(btf, struct_id, "b").type) == 8
    assert size_of(btf, sample.ptr()) == 8
    assert member(btf, struct_id, "y") == Place(number, 96)
    assert member(btf, struct_id, "y").offset == 12
    assert member(btf, btf.require("bits", Kind.STRUCT), "high") == Place(number, 3, 29)
    with pytest.raises(TypeNotFound, match="no member named z"):
        member(btf, struct_id, "z")
    with pytest.raises(BtfError, match="no struct"):
        member(btf, struct_id, "a.x")
    with pytest.raises(BtfError, match="no size"):
        size_of(btf, 0)
    with pytest.raises(BtfError, match="no size"):
        size_of(btf, btf.require("outer", Kind.FUNC))


def test_types_that_contain_themselves_do_not_hang() -> None:
    typedef = Btf(blob(record(1, Kind.TYPEDEF, 1), b"\0t\0"))
    with pytest.raises(BtfError, match="without end"):
        strip(typedef, 1)
    arrays = Btf(blob(record(0, Kind.ARRAY, 0, 1, 1, 2)))
    with pytest.raises(BtfError, match="contains itself"):
        size_of(arrays, 1)
    anonymous = Btf(blob(record(0, Kind.STRUCT, 4, 0, 1, 0, vlen=1)))
    with pytest.raises(TypeNotFound):
        member(anonymous, 1, "x")
    twice = Btf(blob(record(0, Kind.STRUCT, 4, 0, 1, 0, 0, 1, 0, vlen=2)))
    with pytest.raises(TypeNotFound):
        member(twice, 1, "x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no BTF"),
        (b"\x7fELF" + bytes(30), "magic"),
        (struct.pack(">H" if sys.byteorder == "little" else "<H", 0xEB9F) + bytes(30), "byte order"),
        (struct.pack("=HBBIIIII", 0xEB9F, 2, 0, 24, 0, 0, 0, 1) + b"\0", "version 2"),
        (struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 8, 0, 0, 0, 1) + b"\0", "8 bytes"),
        (struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, 12, 12, 1) + b"\0", "outside"),
        (struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, 3, 3, 1) + bytes(4), "outside"),
        (blob(b"", b"\0abc"), "NUL"),
        (blob(b"", b""), "NUL"),
    ],
)
def test_a_broken_header_is_an_error_at_once(data: bytes, reason: str) -> None:
    with pytest.raises(BtfError, match=reason):
        Btf(data)


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        (record(0, 0, 0), "kind 0"),
        (record(0, 31, 0), "kind 31"),
        (record(0, Kind.INT, 4), "cut short"),
        (record(0, Kind.STRUCT, 4, 0, 0, 0, vlen=2), "cut short"),
        (record(0, Kind.PTR, 0)[:4], "cut short"),
        (record(0, Kind.PTR, 0)[:8], "cut short"),
    ],
)
def test_broken_records_are_an_error_at_the_first_question(types: bytes, reason: str) -> None:
    btf = Btf(blob(types))
    with pytest.raises(BtfError, match=reason):
        len(btf)


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        (record(99, Kind.PTR, 0), "string offset 99"),
        (record(0, Kind.FUNC, 0, vlen=7), "7 is not a valid FuncLinkage"),
        (record(0, Kind.VAR, 0, 9), "9 is not a valid VarLinkage"),
    ],
)
def test_numbers_without_meaning_are_an_error_of_their_type(types: bytes, reason: str) -> None:
    with pytest.raises(BtfError, match=reason):
        Btf(blob(types)).type(1)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 400))
@settings(max_examples=300)
def test_no_bytes_break_the_reader(changes: list[tuple[int, int]], cut: int) -> None:
    builder = BtfBuilder()
    number = builder.int_("int", 4)
    fields = builder.struct("s", 8, [Member("a", number, 0), Member("b", builder.ptr(number), 32)])
    builder.func("f", builder.func_proto(number, [("x", fields)]))
    builder.enum("e", {"A": 1, "B": -2})
    data = bytearray(builder.to_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    if cut < len(data):
        del data[len(data) - cut :]
    try:
        btf = Btf(bytes(data))
        for type_id in range(len(btf) + 1):
            btf.type(type_id)
            btf.find("s", Kind.STRUCT)
            size_of(btf, type_id)
            member(btf, type_id, "b")
    except (BtfError, TypeNotFound):
        pass


def test_a_kernel_without_btf_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFeature, match="BTF of the kernel") as caught:
        KernelBtf.load(tmp_path / "vmlinux")
    assert caught.value.since == "5.4"


def test_the_kernels_btf_is_read_from_any_path(tmp_path: Path, sample: BtfBuilder) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(sample.to_bytes())
    btf = KernelBtf.load(path)
    assert btf.name == "vmlinux"
    assert len(btf) == len(sample)

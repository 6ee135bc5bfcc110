"""What the builder writes, the reader reads; what the kernel would refuse is refused here first."""

from __future__ import annotations

import struct
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.btf import (
    VOID,
    Array,
    Btf,
    BtfBuilder,
    BtfError,
    Composite,
    DataSection,
    DeclTag,
    Enumeration,
    EnumValue,
    Func,
    FuncLinkage,
    FuncProto,
    Int,
    IntEncoding,
    Kind,
    Member,
    Parameter,
    Pointer,
    Qualifier,
    SectionItem,
    Type,
    Typedef,
    TypeTag,
    Var,
    VarLinkage,
    add_type,
)
from pybpf.types import Struct, array, boolean, byte_array, u8, u16be, u32, u64

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)


class Frame(Struct):
    record: u64
    depth: u32


class Call(Struct):
    pid: u32
    ok: boolean
    port: u16be
    frames: list[Frame] = array(Frame, 3)
    comm: bytes = byte_array(16)


def read(builder: BtfBuilder) -> Btf:
    return Btf(builder.to_bytes())


@st.composite
def graphs(draw: st.DrawFn) -> tuple[BtfBuilder, dict[int, Type]]:
    """A builder with random types in it, and what each id stands for."""
    builder = BtfBuilder()
    index = builder.int_("__ARRAY_SIZE_TYPE__", 4)
    expected: dict[int, Type] = {index: Int("__ARRAY_SIZE_TYPE__", 4, IntEncoding.NONE, 32)}
    for _ in range(draw(st.integers(1, 12))):
        known = st.integers(0, len(builder))
        kind = draw(st.sampled_from(list(Kind)))
        name, of = draw(names), draw(known)
        if kind is Kind.INT:
            size, signed = draw(st.sampled_from([1, 2, 4, 8])), draw(st.booleans())
            encoding = IntEncoding.SIGNED if signed else IntEncoding.NONE
            expected[builder.int_(name, size, signed=signed)] = Int(name, size, encoding, 8 * size)
        elif kind is Kind.PTR:
            expected[builder.ptr(of)] = Pointer(of)
        elif kind is Kind.ARRAY:
            length = draw(st.integers(0, 0xFFFF_FFFF))
            expected[builder.array(of, length)] = Array(of, index, length)
        elif kind in (Kind.STRUCT, Kind.UNION):
            bits = draw(st.booleans())
            members = tuple(
                Member(draw(names), draw(known), draw(st.integers(0, 500)), draw(st.integers(1, 64)) if bits else 0)
                for _ in range(draw(st.integers(0, 4)))
            )
            make = builder.struct if kind is Kind.STRUCT else builder.union
            expected[make(name, 100, members)] = Composite(name, 100, members, kind is Kind.UNION)
        elif kind in (Kind.ENUM, Kind.ENUM64):
            size = 8 if kind is Kind.ENUM64 else draw(st.sampled_from([1, 2, 4]))
            signed = draw(st.booleans())
            low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
            values = draw(st.dictionaries(names, st.integers(low, high), max_size=4))
            negative = any(value < 0 for value in values.values())
            items = tuple(EnumValue(*item) for item in values.items())
            expected[builder.enum(name, values, size=size)] = Enumeration(name, size, items, negative, size == 8)
        elif kind is Kind.TYPEDEF:
            expected[builder.typedef(name, of)] = Typedef(name, of)
        elif kind is Kind.CONST:
            expected[builder.const(of)] = Qualifier(kind, of)
        elif kind is Kind.VOLATILE:
            expected[builder.volatile(of)] = Qualifier(kind, of)
        elif kind is Kind.FUNC_PROTO:
            params = draw(st.lists(st.tuples(names, known), max_size=4))
            expected[builder.func_proto(of, params)] = FuncProto(of, tuple(Parameter(*param) for param in params))
        elif kind is Kind.FUNC:
            linkage = draw(st.sampled_from(list(FuncLinkage)))
            expected[builder.func(name, of, linkage)] = Func(name, of, linkage)
        elif kind is Kind.VAR:
            visible = draw(st.sampled_from(list(VarLinkage)))
            expected[builder.var(name, of, visible)] = Var(name, of, visible)
        elif kind is Kind.DATASEC:
            section = tuple(SectionItem(of, 8 * number, 8) for number in range(draw(st.integers(0, 3))))
            expected[builder.datasec("." + name, 64, section)] = DataSection("." + name, 64, section)
        elif kind is Kind.DECL_TAG:
            component = draw(st.integers(-1, 5))
            expected[builder.decl_tag(name, of, component)] = DeclTag(name, of, component)
        elif kind is Kind.TYPE_TAG:
            expected[builder.type_tag(name, of)] = TypeTag(name, of)
    return builder, expected


@given(graphs())
def test_what_is_written_is_read_back(case: tuple[BtfBuilder, dict[int, Type]]) -> None:
    builder, expected = case
    btf = read(builder)
    assert len(btf) == len(builder)
    assert dict(btf.types()) == expected
    assert sorted(expected) == list(range(1, len(builder) + 1))


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_strings_are_kept_once_and_found_by_their_offset(texts: list[str]) -> None:
    builder = BtfBuilder()
    offsets = {text: builder.string(text) for text in texts}
    assert {text: builder.string(text) for text in texts} == offsets
    assert len(set(offsets.values())) == len(offsets)
    btf = read(builder)
    assert all(btf.string(offset) == text for text, offset in offsets.items())
    assert builder.string("") == 0


def test_no_string_reaches_into_the_next_one() -> None:
    builder = BtfBuilder()
    offset, after = builder.string("x = '\0'"), builder.string("after")
    btf = read(builder)
    assert btf.string(offset) == "x = '"
    assert btf.string(after) == "after"


def test_the_same_type_is_written_once() -> None:
    builder = BtfBuilder()
    number = builder.int_("int", 4, signed=True)
    assert builder.int_("int", 4, signed=True) == number
    assert builder.int_("int", 4) != number
    assert builder.ptr(number) == builder.ptr(number)
    assert len(builder) == 3


def test_an_anonymous_struct_can_hold_members() -> None:
    builder = BtfBuilder()
    number = builder.int_("int", 4)
    inner = builder.struct("", 4, [Member("x", number, 0)])
    outer = builder.union("u", 4, [Member("", inner, 0), Member("y", number, 0)])
    decoded = read(builder).type(outer)
    assert isinstance(decoded, Composite)
    assert [item.name for item in decoded.members] == ["", "y"]


def test_the_types_of_a_program_become_types_of_c() -> None:
    builder = BtfBuilder()
    btf_id = add_type(builder, Call)
    assert add_type(builder, Call) == btf_id
    btf = read(builder)
    call = btf.type(btf_id)
    assert isinstance(call, Composite)
    assert (call.name, call.size) == ("Call", Call.SIZE)
    assert [(item.name, item.offset) for item in call.members] == [(item.name, item.offset) for item in Call.FIELDS]
    types = {item.name: btf.type(item.type) for item in call.members}
    assert isinstance(types["pid"], Typedef)
    assert types["pid"].name == "u32"
    assert btf.type(types["pid"].type) == Int("unsigned int", 4, IntEncoding.NONE, 32)
    assert types["ok"] == Int("_Bool", 1, IntEncoding.BOOL, 8)
    assert isinstance(types["port"], Typedef)
    assert types["port"].name == "__be16"
    frames = types["frames"]
    assert isinstance(frames, Array)
    assert frames.length == 3
    assert btf.type(frames.type) == btf.type(btf.require("Frame", Kind.STRUCT))
    assert isinstance(types["comm"], Array)
    assert types["comm"].length == 16
    assert types["comm"].type == add_type(builder, u8)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda b: b.struct("no-name", 4, []), "no C identifier"),
        (lambda b: b.struct("größe", 4, []), "no C identifier"),
        (lambda b: b.func("f" * 128, VOID), "127"),
        (lambda b: b.func("", VOID), "no C identifier"),
        (lambda b: b.func_proto(VOID, [("", VOID)]), "no C identifier"),
        (lambda b: b.ptr(1), "does not exist"),
        (lambda b: b.const(-1), "does not exist"),
        (lambda b: b.int_("x", 3), "3 bytes"),
        (lambda b: b.int_("x", 1, signed=True, boolean=True), "signed and boolean"),
        (lambda b: b.array(VOID, -1), "-1 elements"),
        (lambda b: b.struct("s", 4, [Member("x", VOID, 32)]), "outside"),
        (lambda b: b.struct("s", 4, [Member("x", VOID, 30, 4)]), "outside"),
        (lambda b: b.struct("s", 1 << 22, [Member("x", VOID, 1 << 24, 4)]), "bit fields"),
        (lambda b: b.struct("s", 1 << 17, [Member(f"x{n}", VOID, n) for n in range(1 << 16)]), "65536"),
        (lambda b: b.enum("e", {"A": 1 << 32}), "does not fit"),
        (lambda b: b.enum("e", {"A": -1, "B": 1 << 31}), "does not fit"),
        (lambda b: b.enum("e", {"A": 1}, size=3), "3 bytes"),
        (lambda b: b.datasec(".data", 4, [SectionItem(VOID, 0, 4), SectionItem(VOID, 2, 2)]), "overlaps"),
        (lambda b: b.datasec(".data", 4, [SectionItem(VOID, 0, 8)]), "overlaps"),
    ],
)
def test_what_the_kernel_would_refuse_is_not_written(write: Callable[[BtfBuilder], int], reason: str) -> None:
    builder = BtfBuilder()
    with pytest.raises(BtfError, match=reason):
        write(builder)


def test_a_blob_larger_than_any_kernel_takes_is_not_written() -> None:
    builder = BtfBuilder()
    builder.string("x" * (1 << 24))
    with pytest.raises(BtfError, match="16777216"):
        builder.to_bytes()


def test_the_header_is_that_of_the_format() -> None:
    builder = BtfBuilder()
    builder.int_("int", 4)
    data = builder.to_bytes()
    assert struct.unpack_from("=HBBIIIII", data) == (0xEB9F, 1, 0, 24, 0, 16, 16, 5)
    assert data[24:] == struct.pack("=IIII", 1, 1 << 24, 4, 32) + b"\0int\0"

"""Layout, packing and unpacking of the shared types."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybpf.types import (
    Struct,
    array,
    byte_array,
    pack,
    s8,
    s16,
    s32,
    s64,
    sizeof,
    u8,
    u16,
    u16be,
    u32,
    u32be,
    u64,
    unpack,
)


class Inner(Struct):
    a: u8
    b: u32


class Outer(Struct):
    flag: bool
    port: u16be
    address: u32be
    inner: list[Inner] = array(Inner, 2)
    comm: bytes = byte_array(5)
    deep: Inner
    last: s64


class Packed(Struct, packed=True):
    a: u8
    b: u64
    c: u16


def test_layout_is_that_of_c() -> None:
    class CInner(ctypes.Structure):
        _fields_ = [("a", ctypes.c_uint8), ("b", ctypes.c_uint32)]

    class COuter(ctypes.Structure):
        _fields_ = [
            ("flag", ctypes.c_bool),
            ("port", ctypes.c_uint16),
            ("address", ctypes.c_uint32),
            ("inner", CInner * 2),
            ("comm", ctypes.c_uint8 * 5),
            ("deep", CInner),
            ("last", ctypes.c_int64),
        ]

    assert sizeof(Outer) == ctypes.sizeof(COuter)
    assert {f.name: f.offset for f in Outer.FIELDS} == {f[0]: getattr(COuter, f[0]).offset for f in COuter._fields_}
    assert Outer.ALIGN == ctypes.alignment(COuter)


def test_packed_structs_have_no_gaps() -> None:
    assert (Packed.SIZE, Packed.ALIGN) == (11, 1)
    assert Packed(a=1, b=2, c=3).pack() == bytes([1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0])


def test_big_endian_fields_keep_the_order_of_the_network() -> None:
    data = Outer(port=5064, address=0x7F000001).pack()
    assert data[2:8] == bytes.fromhex("13c87f000001")
    assert Outer.unpack(data).port == 5064


@given(
    st.booleans(),
    st.integers(0, 65535),
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1)), min_size=2, max_size=2),
    st.binary(min_size=5, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 9),
)
def test_unpack_inverts_pack(flag: bool, port: int, pairs: Any, comm: bytes, last: int, shift: int) -> None:
    value = Outer(flag=flag, port=port, inner=[Inner(a=a, b=b) for a, b in pairs], comm=comm, last=last)
    assert Outer.unpack(bytes(shift) + value.pack(), shift) == value


@pytest.mark.parametrize("kind", [u8, u16, u32, u64, s8, s16, s32, s64, u16be])
def test_scalars_hold_exactly_their_range(kind: Any) -> None:
    for value in (kind.minimum, kind.maximum):
        assert unpack(kind, pack(kind, value)) == value
    for value in (kind.minimum - 1, kind.maximum + 1):
        with pytest.raises(OverflowError, match=kind.name):
            pack(kind, value)


def test_conversion_wraps_as_in_c() -> None:
    assert [u8(-1), u8(256), s8(255), s32(2**31)] == [255, 0, -1, -(2**31)]


def test_mistakes_are_named() -> None:
    with pytest.raises(TypeError, match="no field depht"):
        Inner(depht=1)
    with pytest.raises(ValueError, match="need 8 bytes"):
        Inner.unpack(b"abc")
    with pytest.raises(ValueError, match="do not fit"):
        Outer(comm=b"123456").pack()
    with pytest.raises(TypeError, match=r"Bad\.x: 'float' is no BPF type"):
        type("Bad", (Struct,), {"__annotations__": {"x": "float"}, "__module__": __name__})


def test_values_that_can_change_have_no_hash() -> None:
    with pytest.raises(TypeError, match="Inner can change"):
        hash(Inner(a=1))

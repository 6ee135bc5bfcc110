"""Sizes, alignment and conversion of any BPF type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union, cast

from pybpf.types.array import ArrayType
from pybpf.types.scalar import Scalar

if TYPE_CHECKING:
    from pybpf.types.struct import Struct

    BpfType = Union[Scalar, type[Struct], ArrayType]
else:
    BpfType = Union[Scalar, type, ArrayType]


def sizeof(kind: BpfType | type[int]) -> int:
    """The size in bytes."""
    if isinstance(kind, Scalar):
        return kind.size
    if isinstance(kind, ArrayType):
        return kind.length * sizeof(kind.element)
    return cast("type[Struct]", kind).SIZE


def alignof(kind: BpfType | type[int]) -> int:
    """The alignment in bytes, by the rules of C on 64-bit Linux."""
    if isinstance(kind, Scalar):
        return kind.size
    if isinstance(kind, ArrayType):
        return alignof(kind.element)
    return cast("type[Struct]", kind).ALIGN


def pack(kind: BpfType | type[int], value: Any) -> bytes:
    """The bytes of ``value`` laid out as ``kind``.

    Raises:
        OverflowError: an integer does not fit.
        ValueError: an array has too many elements.
        TypeError: the value is of another kind altogether.
    """
    if isinstance(kind, Scalar):
        return kind.pack(value)
    if isinstance(kind, ArrayType):
        return _pack_array(kind, value)
    struct_type = cast("type[Struct]", kind)
    if not isinstance(value, struct_type):
        raise TypeError(f"expected {struct_type.__name__}, got {type(value).__name__}")
    return value.pack()


def unpack(kind: BpfType | type[int], buffer: bytes | memoryview, offset: int = 0) -> Any:
    """The value of type ``kind`` at ``offset`` of ``buffer``."""
    if isinstance(kind, Scalar):
        return kind.unpack(buffer, offset)
    if isinstance(kind, ArrayType):
        if kind.as_bytes:
            return bytes(buffer[offset : offset + kind.length])
        step = sizeof(kind.element)
        return [unpack(kind.element, buffer, offset + index * step) for index in range(kind.length)]
    return cast("type[Struct]", kind).unpack(buffer, offset)


def _pack_array(kind: ArrayType, value: Any) -> bytes:
    if len(value) > kind.length:
        raise ValueError(f"{len(value)} elements do not fit {kind!r}")
    if kind.as_bytes:
        return bytes(value).ljust(kind.length, b"\0")
    data = b"".join(pack(kind.element, item) for item in value)
    return data.ljust(sizeof(kind), b"\0")

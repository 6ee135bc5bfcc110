"""The types shared by BPF programs, maps and the Python that reads them.

One declaration serves three sides: the layout inside the kernel, the type that goes into BTF, and the decoder in
user space.
"""

from pybpf.types.array import ArrayType, array, byte_array
from pybpf.types.layout import BpfType, alignof, pack, sizeof, unpack
from pybpf.types.scalar import (
    Scalar,
    boolean,
    s8,
    s16,
    s32,
    s64,
    u8,
    u16,
    u16be,
    u32,
    u32be,
    u64,
    u64be,
)
from pybpf.types.struct import Field, Struct

__all__ = [
    "ArrayType",
    "BpfType",
    "Field",
    "Scalar",
    "Struct",
    "alignof",
    "array",
    "boolean",
    "byte_array",
    "pack",
    "s16",
    "s32",
    "s64",
    "s8",
    "sizeof",
    "u16",
    "u16be",
    "u32",
    "u32be",
    "u64",
    "u64be",
    "u8",
    "unpack",
]

"""The numbers of the BTF format: kinds, encodings, linkage, and the layout of a record.

``include/uapi/linux/btf.h`` of Linux 6.18, ``Documentation/bpf/btf.rst``. A blob is a header, a section of types
and one of strings. A type is three words, name, info and size or type, and for some kinds more words that follow::

    info   msb                                          lsb
           +-----+------+-------+--------+----------------+
           |FLAG |      | KIND  |        |      VLEN      |
           +-----+------+-------+--------+----------------+
              1     2       5       8            16
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

MAGIC = 0xEB9F
VERSION = 1
HEADER_LAYOUT = "HBBIIIII"
"""magic, version, flags, header length, then offset and length of the types and of the strings."""
HEADER_SIZE = 24
TYPE_WORDS = 3
MAX_VLEN = 0xFFFF
MAX_SECTION = 1 << 24
"""The kernel takes no larger blob, and no name beyond this offset."""
VOID = 0
"""The id of ``void``; the first real type has 1."""


class Kind(IntEnum):
    """What a type is. The first twelve are of Linux 4.18; later ones name their kernel."""

    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    """A function; Linux 5.0."""
    FUNC_PROTO = 13
    """Linux 5.0."""
    VAR = 14
    """Linux 5.2."""
    DATASEC = 15
    """Linux 5.2."""
    FLOAT = 16
    """Linux 5.13."""
    DECL_TAG = 17
    """Linux 5.16."""
    TYPE_TAG = 18
    """Linux 5.17."""
    ENUM64 = 19
    """Linux 6.0."""


class IntEncoding(IntFlag):
    """How an integer is meant."""

    NONE = 0
    SIGNED = 1
    CHAR = 2
    BOOL = 4


class FuncLinkage(IntEnum):
    """Who may call a function. The verifier checks a GLOBAL one on its own (Linux 5.6), a STATIC one at each call."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


class VarLinkage(IntEnum):
    """Who may see a variable."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


FIXED_WORDS = {
    Kind.INT: 1,
    Kind.ARRAY: 3,
    Kind.VAR: 1,
    Kind.DECL_TAG: 1,
}
"""Words after the first three, whatever the vlen."""

WORDS_PER_ITEM = {
    Kind.STRUCT: 3,
    Kind.UNION: 3,
    Kind.ENUM: 2,
    Kind.FUNC_PROTO: 2,
    Kind.DATASEC: 3,
    Kind.ENUM64: 3,
}
"""Words after the first three for each of vlen items."""

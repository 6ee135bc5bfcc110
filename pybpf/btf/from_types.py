"""The types of :mod:`pybpf.types` in BTF, so that tools print a map's values and the verifier knows their members."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pybpf.btf.types import Member
from pybpf.types import ArrayType, Scalar, sizeof

if TYPE_CHECKING:
    from pybpf.btf.builder import BtfBuilder
    from pybpf.types import BpfType, Struct

# The compiler's names for the integers: tools recognise them, and what C calls u32 is a typedef of one of them.
_C_NAMES = {
    (1, False): "unsigned char",
    (2, False): "unsigned short",
    (4, False): "unsigned int",
    (8, False): "unsigned long long",
    (1, True): "signed char",
    (2, True): "short",
    (4, True): "int",
    (8, True): "long long",
}


def add_type(builder: BtfBuilder, kind: BpfType | type[int]) -> int:
    """Write a type and all it consists of; its id.

    Raises:
        BtfError: a name in it is no C identifier.
    """
    if isinstance(kind, Scalar):
        return _scalar(builder, kind)
    if isinstance(kind, ArrayType):
        return builder.array(add_type(builder, kind.element), kind.length)
    composite = cast("type[Struct]", kind)
    members = [Member(item.name, add_type(builder, item.type), 8 * item.offset) for item in composite.FIELDS]
    return builder.struct(composite.__name__, sizeof(composite), members)


def _scalar(builder: BtfBuilder, kind: Scalar) -> int:
    if kind.name == "bool":
        return builder.int_("_Bool", 1, boolean=True)
    plain = builder.int_(_C_NAMES[kind.size, kind.signed], kind.size, signed=kind.signed)
    name = f"__be{8 * kind.size}" if kind.big_endian else kind.name
    return builder.typedef(name, plain)

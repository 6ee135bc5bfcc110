"""The types of a map's keys and values in BTF, so that ``bpftool map dump`` prints the names of fields (4.18)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from pybpf.btf.builder import BtfBuilder
from pybpf.btf.errors import BtfError
from pybpf.btf.from_types import add_type

if TYPE_CHECKING:
    from pybpf.types import BpfType


class TypeUse(Enum):
    """What a kind of map makes of BTF."""

    NONE = "refuses it"
    OPTIONAL = "shows it to tools"
    REQUIRED = "cannot be without"


@dataclass(frozen=True)
class TypeInfo:
    """BTF of one map: the blob for BTF_LOAD and the ids in it, 0 for what the map has not."""

    blob: bytes
    key_id: int
    value_id: int


def type_info(key: BpfType | None, value: BpfType | None) -> TypeInfo | None:
    """The BTF of these types; None when one of them has a name that C has not."""
    # a Struct class has a hash, whatever its instances have
    return _type_info(cast("Any", key), cast("Any", value))


@functools.lru_cache(maxsize=256)
def _type_info(key: BpfType | None, value: BpfType | None) -> TypeInfo | None:
    builder = BtfBuilder()
    try:
        key_id = 0 if key is None else add_type(builder, key)
        value_id = 0 if value is None else add_type(builder, value)
        return TypeInfo(builder.to_bytes(), key_id, value_id)
    except BtfError:
        return None

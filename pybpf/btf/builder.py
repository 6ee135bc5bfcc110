"""Writing a program's BTF: its types, functions, and the strings its lines need."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pybpf.btf.errors import BtfError
from pybpf.btf.kinds import (
    HEADER_LAYOUT,
    HEADER_SIZE,
    MAGIC,
    MAX_SECTION,
    MAX_VLEN,
    VERSION,
    VOID,
    FuncLinkage,
    IntEncoding,
    Kind,
    VarLinkage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pybpf.btf.types import Member, SectionItem

_NAME_MAX = 127
_FLAG = 1 << 31


class BtfBuilder:
    """Collects types and gives their ids; the same type asked for twice is written once.

    All methods raise :class:`BtfError` for what the kernel would refuse: a name that is no C identifier of at most 127
    characters, an id that does not exist yet, more than 65535 members.
    """

    def __init__(self) -> None:
        self._strings = bytearray(b"\0")
        self._string_offsets: dict[str, int] = {"": 0}
        self._records: list[bytes] = []
        self._ids: dict[bytes, int] = {}

    def __len__(self) -> int:
        """How many types there are: the highest id so far."""
        return len(self._records)

    def string(self, text: str) -> int:
        """The offset of ``text`` in the string section, for line information.

        What follows a NUL is dropped; characters without a code in UTF-8 are replaced.
        """
        offset = self._string_offsets.get(text)
        if offset is None:
            offset = len(self._strings)
            self._strings += text.split("\0", 1)[0].encode("utf-8", "replace") + b"\0"
            self._string_offsets[text] = offset
        return offset

    def int_(self, name: str, size: int, *, signed: bool = False, boolean: bool = False) -> int:
        """An integer of 1, 2, 4, 8 or 16 bytes."""
        if size not in (1, 2, 4, 8, 16):
            raise BtfError(f"integer {name} has {size} bytes; 1, 2, 4, 8 or 16 are possible")
        encoding = (IntEncoding.SIGNED if signed else 0) | (IntEncoding.BOOL if boolean else 0)
        if signed and boolean:
            raise BtfError(f"integer {name} cannot be signed and boolean")
        # Compilers name them "unsigned int", and the kernel does not mind.
        return self._add(Kind.INT, self._name(name, extra=" "), size, struct.pack("=I", encoding << 24 | 8 * size))

    def ptr(self, to: int = VOID) -> int:
        """A pointer; to ``void`` by default."""
        return self._add(Kind.PTR, 0, self._known(to))

    def array(self, element: int, length: int) -> int:
        """``length`` elements of a type."""
        if not 0 <= length <= 0xFFFF_FFFF:
            raise BtfError(f"an array has no {length} elements")
        index = self.int_("__ARRAY_SIZE_TYPE__", 4)
        return self._add(Kind.ARRAY, 0, 0, struct.pack("=III", self._known(element), index, length))

    def struct(self, name: str, size: int, members: Iterable[Member]) -> int:
        """A struct of ``size`` bytes; an empty name makes it anonymous."""
        return self._composite(Kind.STRUCT, name, size, members)

    def union(self, name: str, size: int, members: Iterable[Member]) -> int:
        """A union of ``size`` bytes; an empty name makes it anonymous."""
        return self._composite(Kind.UNION, name, size, members)

    def typedef(self, name: str, of: int) -> int:
        """Another name for a type."""
        return self._add(Kind.TYPEDEF, self._name(name), self._known(of))

    def const(self, of: int) -> int:
        """The ``const`` of a type."""
        return self._add(Kind.CONST, 0, self._known(of))

    def volatile(self, of: int) -> int:
        """The ``volatile`` of a type."""
        return self._add(Kind.VOLATILE, 0, self._known(of))

    def enum(self, name: str, values: Mapping[str, int], *, size: int = 4) -> int:
        """An enumeration, signed when a value is negative.

        Negative values and a size of 8 need Linux 6.0: older kernels refuse the whole blob.
        """
        if size not in (1, 2, 4, 8):
            raise BtfError(f"enumeration {name} has {size} bytes; 1, 2, 4 or 8 are possible")
        signed = any(value < 0 for value in values.values())
        low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
        parts: list[bytes] = []
        for item, value in values.items():
            if not low <= value <= high:
                raise BtfError(f"{name}.{item} = {value} does not fit {size} bytes")
            word = value & 0xFFFF_FFFF_FFFF_FFFF
            parts.append(
                struct.pack("=III", self._name(item), word & 0xFFFF_FFFF, word >> 32)
                if size == 8
                else struct.pack("=II", self._name(item), word & 0xFFFF_FFFF)
            )
        kind = Kind.ENUM64 if size == 8 else Kind.ENUM
        return self._add(kind, self._name(name, optional=True), size, b"".join(parts), len(parts), flag=signed)

    def var(self, name: str, of: int, linkage: VarLinkage = VarLinkage.GLOBAL) -> int:
        """A variable; Linux 5.2."""
        return self._add(Kind.VAR, self._name(name), self._known(of), struct.pack("=I", linkage))

    def datasec(self, name: str, size: int, items: Iterable[SectionItem]) -> int:
        """A section of variables, in the order of their offsets; Linux 5.2."""
        parts: list[bytes] = []
        end = 0
        for item in items:
            if item.offset < end or item.offset + item.size > size:
                raise BtfError(f"variable at {item.offset} of section {name} overlaps another or the section's end")
            end = item.offset + item.size
            parts.append(struct.pack("=III", self._known(item.type), item.offset, item.size))
        offset = self._name(name, extra=".")
        return self._add(Kind.DATASEC, offset, size, b"".join(parts), len(parts))

    def func_proto(self, returns: int = VOID, params: Iterable[tuple[str, int]] = ()) -> int:
        """What a function takes, (name, type) each, and gives; Linux 5.0."""
        parts = [struct.pack("=II", self._name(name), self._known(kind)) for name, kind in params]
        return self._add(Kind.FUNC_PROTO, 0, self._known(returns), b"".join(parts), len(parts))

    def func(self, name: str, proto: int, linkage: FuncLinkage = FuncLinkage.STATIC) -> int:
        """A function; Linux 5.0, and its linkage 5.6 (older kernels want STATIC)."""
        return self._add(Kind.FUNC, self._name(name), self._known(proto), vlen=linkage)

    def decl_tag(self, name: str, of: int, component: int = -1) -> int:
        """A remark on a type or, by its number, on a member or parameter of it; Linux 5.16."""
        return self._add(Kind.DECL_TAG, self.string(name), self._known(of), struct.pack("=i", component))

    def type_tag(self, name: str, of: int) -> int:
        """A remark on what a pointer points to; Linux 5.17."""
        return self._add(Kind.TYPE_TAG, self.string(name), self._known(of))

    def to_bytes(self) -> bytes:
        """The blob that ``BPF_BTF_LOAD`` takes.

        Raises:
            BtfError: it is larger than 16 MiB, which no kernel takes.
        """
        types = b"".join(self._records)
        header = struct.pack(
            "=" + HEADER_LAYOUT, MAGIC, VERSION, 0, HEADER_SIZE, 0, len(types), len(types), len(self._strings)
        )
        blob = header + types + self._strings
        if len(blob) > MAX_SECTION:
            raise BtfError(f"{len(blob)} bytes of BTF are more than the kernel takes ({MAX_SECTION})")
        return blob

    def _composite(self, kind: Kind, name: str, size: int, members: Iterable[Member]) -> int:
        fields = tuple(members)
        flag = any(member.bit_size for member in fields)
        parts: list[bytes] = []
        for member in fields:
            span = member.bit_size or 1
            if not 0 <= member.bit_offset <= 8 * size - (0 if size == 0 else span):
                raise BtfError(f"{name}.{member.name} at bit {member.bit_offset} is outside of {size} bytes")
            where = member.bit_offset
            if flag:
                if where >= 1 << 24 or member.bit_size > 0xFF:
                    raise BtfError(f"{name}.{member.name} is too far in or too wide for a struct with bit fields")
                where |= member.bit_size << 24
            offset = self._name(member.name, optional=True)
            parts.append(struct.pack("=III", offset, self._known(member.type), where))
        return self._add(kind, self._name(name, optional=True), size, b"".join(parts), len(parts), flag=flag)

    def _add(
        self, kind: Kind, name: int, size_or_type: int, tail: bytes = b"", vlen: int = 0, *, flag: bool = False
    ) -> int:
        if vlen > MAX_VLEN:
            raise BtfError(f"a {kind.name} of {vlen} items; {MAX_VLEN} are possible")
        info = kind << 24 | vlen | (_FLAG if flag else 0)
        record = struct.pack("=III", name, info, size_or_type) + tail
        known = self._ids.get(record)
        if known is not None:
            return known
        self._records.append(record)
        self._ids[record] = len(self._records)
        return len(self._records)

    def _known(self, type_id: int) -> int:
        if not 0 <= type_id <= len(self._records):
            raise BtfError("refers to a type that does not exist", type_id)
        return type_id

    def _name(self, name: str, *, optional: bool = False, extra: str = "") -> int:
        if not name and optional:
            return 0
        plain = name
        for character in extra:
            plain = plain.replace(character, "_")
        if not plain.isascii() or not plain.isidentifier() or len(name) > _NAME_MAX:
            raise BtfError(f"{name!r} is no C identifier of at most {_NAME_MAX} characters")
        return self.string(name)

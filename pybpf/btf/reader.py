"""Reading BTF lazily: a blob is indexed by walking its records once, and types are decoded when asked for."""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from pybpf.btf.decode import decode_type
from pybpf.btf.errors import BtfError, TypeNotFound
from pybpf.btf.kinds import (
    FIXED_WORDS,
    HEADER_LAYOUT,
    HEADER_SIZE,
    MAGIC,
    TYPE_WORDS,
    VERSION,
    VOID,
    WORDS_PER_ITEM,
    Kind,
)
from pybpf.btf.types import Func, FuncProto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybpf.btf.types import Type

_VLEN = 0xFFFF
_KINDS = frozenset(Kind)


class Btf:
    """Type information as a program, a module or the kernel carries it.

    A *split* blob continues ``base``: its ids and string offsets go on where those of ``base`` end (Linux 5.11).
    The blob is indexed at the first question, which costs about 0.1 us a type.

    Raises:
        BtfError: on creation when header or sections are broken or of the other byte order; on the first question when
            the records are cut short or of an unknown kind.
    """

    def __init__(self, data: bytes, base: Btf | None = None, name: str = "BTF") -> None:
        self.name = name
        self.base = base
        types, self._strings = _sections(data)
        self._types = types
        self._words = memoryview(types).cast("I")
        self._first_string = 0 if base is None else base.string_end
        self._index: array[int] | None = None

    def __len__(self) -> int:
        """The number of types, ``void`` not among them; those of the base are."""
        return self._first_id - 1 + len(self._places())

    def __repr__(self) -> str:
        return f"<Btf {self.name}, {len(self._types)} bytes of types>"

    @property
    def string_end(self) -> int:
        """The offset at which the strings of a split blob on top of this one begin."""
        return self._first_string + len(self._strings)

    def string(self, offset: int) -> str:
        """The string at an offset.

        Raises:
            BtfError: there is none.
        """
        if self.base is not None and offset < self._first_string:
            return self.base.string(offset)
        start = offset - self._first_string
        if not 0 <= start < len(self._strings):
            raise BtfError(f"string offset {offset} is outside of the string section")
        return self._strings[start : self._strings.index(b"\0", start)].decode("utf-8", "replace")

    def kind(self, type_id: int) -> Kind | None:
        """The kind of a type without decoding the rest; None for ``void``."""
        if type_id == VOID:
            return None
        owner, place = self._locate(type_id)
        return Kind(owner._words[place + 1] >> 24 & 0x1F)

    def type(self, type_id: int) -> Type | None:
        """The type of an id; None for ``void``.

        Raises:
            BtfError: no type has this id, or its record is broken.
        """
        if type_id == VOID:
            return None
        owner, place = self._locate(type_id)
        try:
            return decode_type(owner._words, place, owner.string)
        except ValueError as error:
            raise BtfError(str(error), type_id) from error

    def types(self) -> Iterator[tuple[int, Type]]:
        """All types with their ids, those of the base first. Decodes each: slow for the kernel's own."""
        if self.base is not None:
            yield from self.base.types()
        for type_id in range(self._first_id, self._first_id + len(self._places())):
            decoded = self.type(type_id)
            assert decoded is not None
            yield type_id, decoded

    def find(self, name: str, kind: Kind) -> int | None:
        """The id of the first type of this name and kind; None when there is none.

        Raises:
            BtfError: the records are broken.
        """
        if self.base is not None:
            found = self.base.find(name, kind)
            if found is not None:
                return found
        whole, tails = self._name_offsets(name)
        candidates = [type_id for offset in whole for type_id in self._named(offset) if self.kind(type_id) is kind]
        if not candidates and tails:
            candidates = [type_id for type_id in self._named_by_any(tails) if self.kind(type_id) is kind]
        return min(candidates, default=None)

    def find_all(self, name: str, *kinds: Kind) -> list[int]:
        """The ids of all types of this name and of one of these kinds, in ascending order.

        Raises:
            BtfError: the records are broken.
        """
        found = [] if self.base is None else self.base.find_all(name, *kinds)
        whole, tails = self._name_offsets(name)
        candidates = {type_id for offset in whole for type_id in self._named(offset)}
        if not candidates and tails:
            candidates = set(self._named_by_any(tails))
        return found + sorted(type_id for type_id in candidates if self.kind(type_id) in kinds)

    def require(self, name: str, kind: Kind) -> int:
        """As :meth:`find`.

        Raises:
            TypeNotFound: there is none.
        """
        found = self.find(name, kind)
        if found is None:
            raise TypeNotFound(name, kind.name.lower(), self.name)
        return found

    def func_proto(self, name: str) -> FuncProto:
        """The prototype of a function.

        Raises:
            TypeNotFound: no function has this name.
            BtfError: what it refers to is no prototype.
        """
        type_id = self.require(name, Kind.FUNC)
        function = self.type(type_id)
        assert isinstance(function, Func)
        proto = self.type(function.proto)
        if not isinstance(proto, FuncProto):
            raise BtfError(f"function {name} has no prototype", type_id)
        return proto

    @property
    def _first_id(self) -> int:
        return 1 if self.base is None else len(self.base) + 1

    def _places(self) -> array[int]:
        """Where the record of each type begins, in words."""
        if self._index is None:
            self._index = _walk(self._words, self.name)
        return self._index

    def _locate(self, type_id: int) -> tuple[Btf, int]:
        first = self._first_id
        if 0 < type_id < first:
            assert self.base is not None
            return self.base._locate(type_id)
        places = self._places()
        if not first <= type_id < first + len(places):
            raise BtfError("no such type", type_id)
        return self, places[type_id - first]

    def _name_offsets(self, name: str) -> tuple[list[int], frozenset[int]]:
        """Every offset at which this name can be read: as a string of its own, and as the tail of another one.

        Writers of BTF may share tails; libbpf and pahole do not, so those are many and hardly ever the answer.
        """
        whole: list[int] = []
        tails: set[int] = set()
        wanted = name.encode() + b"\0"
        owner: Btf | None = self if name else None
        while owner is not None:
            at = owner._strings.find(wanted)
            while at >= 0:
                if at == 0 or owner._strings[at - 1] == 0:
                    whole.append(owner._first_string + at)
                else:
                    tails.add(owner._first_string + at)
                at = owner._strings.find(wanted, at + 1)
            owner = owner.base
        return whole, frozenset(tails)

    def _named(self, offset: int) -> Iterator[int]:
        """The ids of the types of this blob whose name is at ``offset``.

        Searching the section for the four bytes is done by C; what is found may be something else than a name.
        """
        wanted = struct.pack("=I", offset)
        places = self._places()
        at = self._types.find(wanted)
        while at >= 0:
            word, rest = divmod(at, 4)
            if not rest:
                number = bisect_left(places, word)
                if number < len(places) and places[number] == word:
                    yield self._first_id + number
            at = self._types.find(wanted, at + 1)

    def _named_by_any(self, offsets: frozenset[int]) -> Iterator[int]:
        words, first = self._words, self._first_id
        return (first + number for number, place in enumerate(self._places()) if words[place] in offsets)


def _sections(data: bytes) -> tuple[bytes, bytes]:
    """The sections of types and of strings."""
    if len(data) < HEADER_SIZE:
        raise BtfError(f"{len(data)} bytes are no BTF")
    magic, version, _, header, type_at, type_size, string_at, string_size = struct.unpack_from(
        "=" + HEADER_LAYOUT, data
    )
    if magic != MAGIC:
        swapped = int.from_bytes(MAGIC.to_bytes(2, "little"), "big")
        if magic == swapped:
            raise BtfError(f"the blob is not of this host's byte order ({sys.byteorder} endian)")
        raise BtfError(f"magic is {magic:#06x}, not {MAGIC:#06x}")
    if version != VERSION:
        raise BtfError(f"version {version} of the format is unknown")
    if header < HEADER_SIZE:
        raise BtfError(f"the header says it has {header} bytes")
    type_start, string_start = header + type_at, header + string_at
    if type_start + type_size > len(data) or string_start + string_size > len(data) or type_size % 4:
        raise BtfError("a section lies outside of the blob")
    strings = data[string_start : string_start + string_size]
    if not strings or strings[-1]:
        raise BtfError("the string section does not end with a NUL")
    return data[type_start : type_start + type_size], strings


def _walk(words: memoryview, name: str) -> array[int]:
    places = array("I")
    append = places.append
    # The kernel's 126 000 types have a few hundred different info words: a look-up is cheaper than the arithmetic.
    steps: dict[int, int] = {}
    get = steps.get
    place, end = 0, len(words)
    while place + 1 < end:
        info = words[place + 1]
        step = get(info)
        if step is None:
            kind = info >> 24 & 0x1F
            if kind not in _KINDS:
                raise BtfError(f"kind {kind} in {name} is unknown", len(places) + 1)
            known = Kind(kind)
            step = TYPE_WORDS + FIXED_WORDS.get(known, 0) + WORDS_PER_ITEM.get(known, 0) * (info & _VLEN)
            steps[info] = step
        append(place)
        place += step
    if place != end:
        raise BtfError(f"the types of {name} are cut short", len(places))
    return places

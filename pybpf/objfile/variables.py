"""The global variables of an object: set before the load, read and written while its programs run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from pybpf.btf import BtfError, Var
from pybpf.objfile.c_types import raw_type, type_of
from pybpf.objfile.errors import ObjectError
from pybpf.objfile.image import SymbolKind
from pybpf.objfile.read_maps import data_section, is_data
from pybpf.types import pack, sizeof, unpack

if TYPE_CHECKING:
    import mmap

    from pybpf.btf import Btf
    from pybpf.objfile.image import ObjectImage
    from pybpf.types import BpfType

    Buffer = Union[bytearray, "mmap.mmap"]


@dataclass(frozen=True)
class Variable:
    """Where a variable lies: ``offset`` bytes into the value of the map ``section``."""

    name: str
    section: str
    offset: int
    type: BpfType

    def __str__(self) -> str:
        return f"{self.name}: {getattr(self.type, '__name__', self.type)} at {self.section}+{self.offset}"


class Variables(MutableMapping[str, Any]):
    """The variables by name; reading gives a value of :mod:`pybpf.types`, setting one packs it in place.

    Before the load all can be set, constants (``const volatile``) included. On a loaded object they are the memory that
    the programs see, and constants are read-only.
    """

    def __init__(self, path: str, places: Mapping[str, Variable], buffers: Mapping[str, Buffer]) -> None:
        self._path = path
        self.places = dict(places)
        self.buffers = dict(buffers)

    def __getitem__(self, name: str) -> Any:
        place = self.places[name]
        end = place.offset + sizeof(place.type)
        return unpack(place.type, bytes(self.buffers[place.section][place.offset : end]))

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.places:
            raise KeyError(name)
        place = self.places[name]
        data = pack(place.type, value)
        try:
            self.buffers[place.section][place.offset : place.offset + len(data)] = data
        except TypeError:
            raise ObjectError(self._path, name, "is a constant; set it before the load") from None

    def __delitem__(self, name: str) -> None:
        raise TypeError("variables cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __str__(self) -> str:
        return "\n".join(str(place) for place in self.places.values())


def read_variables(image: ObjectImage, btf: Btf | None) -> Variables:
    """The variables of all sections, by the symbols; their types by the BTF where there is some.

    Raises:
        ObjectError: a variable lies outside of its section.
        BtfError: the types are broken.
    """
    places: dict[str, Variable] = {}
    buffers: dict[str, Buffer] = {}
    for section in image.sections_where(is_data):
        if not section.size:
            continue
        buffers[section.name] = bytearray(section.data or bytes(section.size))
        types = _types(btf, section.name)
        for symbol in image.symbols_of(section.index):
            if symbol.kind != SymbolKind.OBJECT or not symbol.size or not symbol.name:
                continue
            if symbol.value + symbol.size > section.size:
                raise ObjectError(image.path, symbol.name, f"lies outside of {section.name}")
            kind = types.get(symbol.name)
            if kind is None or sizeof(kind) != symbol.size:
                kind = raw_type(symbol.size)
            assert kind is not None
            places[symbol.name] = Variable(symbol.name, section.name, symbol.value, kind)
    return Variables(image.path, places, buffers)


def _types(btf: Btf | None, section: str) -> dict[str, BpfType | None]:
    record = data_section(btf, section)
    found: dict[str, BpfType | None] = {}
    if btf is None or record is None:
        return found
    for item in record[1].items:
        variable = btf.type(item.type)
        if not isinstance(variable, Var):
            raise BtfError(f"{section} holds something that is no variable", item.type)
        found[variable.name] = type_of(btf, variable.type)
    return found

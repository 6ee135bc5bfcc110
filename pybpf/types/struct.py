"""Records with named fields: the layout in the kernel and the object in Python."""

from __future__ import annotations

import inspect
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pybpf.types.array import ArrayType
from pybpf.types.layout import alignof, pack, sizeof, unpack
from pybpf.types.scalar import Scalar, boolean

if TYPE_CHECKING:
    from typing_extensions import Self

    from pybpf.types.layout import BpfType


@dataclass(frozen=True)
class Field:
    """One field of a :class:`Struct`; ``offset`` is in bytes from its start."""

    name: str
    type: BpfType
    offset: int


class Struct:
    """A C struct, declared by annotations::

        class OpenCall(Struct):
            record: u64
            depth: u32
            comm: bytes = byte_array(16)

    Fields lie in order with the alignment of C on 64-bit Linux (``class X(Struct, packed=True)``: without gaps).
    The constructor takes fields by name; those left out are zero. Instances are mutable, compare by value and know
    ``pack`` and ``unpack``; ``SIZE`` and ``ALIGN`` are in bytes.

    Raises:
        TypeError: at class creation, when a field's annotation is no BPF type.
    """

    SIZE: ClassVar[int] = 0
    ALIGN: ClassVar[int] = 1
    PACKED: ClassVar[bool] = False
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    _codec: ClassVar[_Codec]

    def __init_subclass__(cls, packed: bool = False) -> None:
        super().__init_subclass__()
        scope = dict(vars(sys.modules[cls.__module__]))
        scope.update(_enclosing_locals())
        fields = list(cls.FIELDS)
        offset, align = cls.SIZE, cls.ALIGN
        for name, annotation in _own_annotations(cls).items():
            if _is_class_variable(annotation):
                continue
            kind = _field_type(cls, name, annotation, scope)
            need = 1 if packed else alignof(kind)
            offset = -(-offset // need) * need
            fields.append(Field(name, kind, offset))
            offset += sizeof(kind)
            align = max(align, need)
        cls.PACKED = packed
        cls.FIELDS = tuple(fields)
        cls.ALIGN = align
        cls.SIZE = -(-offset // align) * align
        cls._codec = _Codec(cls.FIELDS, cls.SIZE)
        for field in cls.FIELDS:
            if field.name in cls.__dict__:
                delattr(cls, field.name)

    def __init__(self, **values: Any) -> None:
        for field in self.FIELDS:
            setattr(self, field.name, values.pop(field.name) if field.name in values else _zero(field.type))
        if values:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(values))}")

    @classmethod
    def unpack(cls, buffer: bytes | memoryview, offset: int = 0) -> Self:
        """The instance whose bytes start at ``offset`` of ``buffer``.

        Raises:
            ValueError: fewer than ``SIZE`` bytes are there.
        """
        value = cls.__new__(cls)
        value.__dict__.update(cls._codec.unpack(buffer, offset))
        return value

    def pack(self) -> bytes:
        """The bytes of this instance; gaps are zero.

        Raises:
            OverflowError: a field's value does not fit it.
        """
        data = bytearray(self.SIZE)
        for field in self.FIELDS:
            value = pack(field.type, getattr(self, field.name))
            data[field.offset : field.offset + len(value)] = value
        return bytes(data)

    @classmethod
    def field(cls, name: str) -> Field:
        """The field called ``name``.

        Raises:
            KeyError: there is none.
        """
        for field in cls.FIELDS:
            if field.name == name:
                return field
        raise KeyError(name)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in self.FIELDS)

    def __hash__(self) -> int:
        raise TypeError(f"a {type(self).__name__} can change, so it has no hash; pack() gives bytes that have one")

    def __repr__(self) -> str:
        inner = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in self.FIELDS)
        return f"{type(self).__name__}({inner})"


class _Codec:
    """Decodes all fields in one call of :mod:`struct`, then converts those that it cannot express."""

    def __init__(self, fields: tuple[Field, ...], size: int) -> None:
        self._names = [field.name for field in fields]
        self._converted = [
            (field.name, field.type)
            for field in fields
            if (not isinstance(field.type, Scalar) and not _is_bytes(field.type))
            or (isinstance(field.type, Scalar) and field.type.swapped)
        ]
        parts, position = ["="], 0
        for field in fields:
            parts.append(f"{field.offset - position}x")
            plain = isinstance(field.type, Scalar) and not field.type.swapped
            parts.append(field.type.code if plain and isinstance(field.type, Scalar) else f"{sizeof(field.type)}s")
            position = field.offset + sizeof(field.type)
        parts.append(f"{size - position}x")
        self._struct = struct.Struct("".join(parts))

    def unpack(self, buffer: bytes | memoryview, offset: int) -> dict[str, Any]:
        try:
            values = dict(zip(self._names, self._struct.unpack_from(buffer, offset)))
        except struct.error as error:
            raise ValueError(f"need {self._struct.size} bytes at offset {offset}, have {len(buffer)}") from error
        for name, kind in self._converted:
            values[name] = unpack(kind, values[name])
        return values


def _own_annotations(cls: type) -> dict[str, Any]:
    if hasattr(inspect, "get_annotations"):  # since 3.10
        return dict(inspect.get_annotations(cls))
    return dict(vars(cls).get("__annotations__", {}))


def _is_bytes(kind: BpfType) -> bool:
    return isinstance(kind, ArrayType) and kind.as_bytes


def _zero(kind: BpfType) -> Any:
    if isinstance(kind, Scalar):
        return False if kind == boolean else 0
    if isinstance(kind, ArrayType):
        return bytes(kind.length) if kind.as_bytes else [_zero(kind.element) for _ in range(kind.length)]
    return kind()


def _is_class_variable(annotation: Any) -> bool:
    return str(annotation).startswith(("ClassVar", "typing.ClassVar"))


def _enclosing_locals() -> dict[str, Any]:
    # __init_subclass__ <- type.__new__ (no frame) <- the frame that runs the class statement
    return sys._getframe(2).f_locals


def _field_type(cls: type, name: str, annotation: Any, scope: dict[str, Any]) -> BpfType:
    kind: Any = cls.__dict__.get(name)
    if kind is None:
        kind = annotation
        if isinstance(annotation, str):
            try:
                kind = eval(annotation, scope)
            except Exception as error:
                raise TypeError(f"{cls.__name__}.{name}: cannot resolve the type {annotation!r}: {error}") from error
    if kind is bool:
        return boolean  # type: ignore[return-value]  # an int type for checkers, a Scalar when it runs
    if isinstance(kind, (Scalar, ArrayType)) or (isinstance(kind, type) and issubclass(kind, Struct)):
        return kind
    raise TypeError(
        f"{cls.__name__}.{name}: {annotation!r} is no BPF type; use u8 to s64, bool, a Struct, array() or byte_array()"
    )

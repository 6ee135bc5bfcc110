"""Arrays of a fixed length inside a struct or a map value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pybpf.types.scalar import Scalar

if TYPE_CHECKING:
    from pybpf.types.struct import Struct

T = TypeVar("T")


@dataclass(frozen=True)
class ArrayType:
    """``length`` elements of one type, without gaps.

    ``as_bytes`` says that Python sees ``bytes`` instead of a list of integers.
    """

    element: Scalar | type[Struct] | ArrayType
    length: int
    as_bytes: bool = False

    def __repr__(self) -> str:
        return f"bytes[{self.length}]" if self.as_bytes else f"{_name(self.element)}[{self.length}]"


def array(element: type[T], length: int) -> list[T]:
    """Declare an array field: ``frames: list[Frame] = array(Frame, 32)``; a list in Python.

    Raises:
        ValueError: ``length`` is not positive.
    """
    _check_length(length)
    return cast("list[T]", ArrayType(cast("Any", element), length))


def byte_array(length: int) -> bytes:
    """Declare a field of raw bytes: ``comm: bytes = byte_array(16)``; ``bytes`` in Python, zero-filled when shorter.

    Raises:
        ValueError: ``length`` is not positive.
    """
    _check_length(length)
    return cast("bytes", ArrayType(Scalar("u8", 1), length, as_bytes=True))


def _check_length(length: int) -> None:
    if length <= 0:
        raise ValueError(f"an array needs a positive length, not {length}")


def _name(element: object) -> str:
    return element.__name__ if isinstance(element, type) else repr(element)

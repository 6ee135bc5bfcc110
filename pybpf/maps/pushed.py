"""What queues and stacks share: values without keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pybpf.kernel.constants import MapFlag, UpdateFlag
from pybpf.kernel.map_ops import map_lookup, map_lookup_and_delete, map_update
from pybpf.maps.base import Map
from pybpf.types import pack, unpack

if TYPE_CHECKING:
    from pybpf.types import BpfType

V = TypeVar("V")


class PushedMap(Map, Generic[V]):
    """Values that go in by ``push`` and come out by ``pop``; inside a program the same methods are compiled."""

    value: BpfType

    def __init__(self, *, value: type[V], max_entries: int, flags: MapFlag | int = 0, name: str = "") -> None:
        if max_entries < 1:
            raise ValueError(f"a {type(self).__name__} holds one value at least, not {max_entries}")
        super().__init__(key=None, value=cast("BpfType", value), max_entries=max_entries, flags=flags, name=name)

    def push(self, value: V, *, replace: bool = False) -> int:
        """Put a value in; KernelError with E2BIG when it is full, unless ``replace`` drops the oldest.

        Gives 0; inside a program a negative error number instead of an exception.
        """
        flags = UpdateFlag.EXIST if replace else UpdateFlag.ANY
        map_update(self._need("push"), b"", pack(self.value, value), flags)
        return 0

    def pop(self) -> V | None:
        """Take the next value out; None when it is empty."""
        found = map_lookup_and_delete(self._need("pop"), b"", self.value_size)
        return None if found is None else cast("V", unpack(self.value, found))

    def peek(self) -> V | None:
        """The next value, which stays; None when it is empty."""
        found = map_lookup(self._need("peek"), b"", self.value_size)
        return None if found is None else cast("V", unpack(self.value, found))

    def drain(self) -> Iterator[V]:
        """Take values out until it is empty; a program that pushes all the time keeps it going."""
        while True:
            value = self.pop()
            if value is None:
                return
            yield value

    def clear(self) -> None:
        """Take out as many values as it can hold."""
        for _ in range(self.max_entries):
            if self.pop() is None:
                return

"""Queues and stacks in Python: values without keys."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pybpf.errors import KernelError
from pybpf.kernel.constants import UpdateFlag
from pybpf.types import pack, sizeof, unpack
from pybpf.vm.maps import VmMap

if TYPE_CHECKING:
    from pybpf.types import BpfType
    from pybpf.vm.memory import Memory


class VmPushed(VmMap):
    """At most ``max_entries`` values; the next one out is the oldest, or of a stack (``newest_first``) the newest."""

    def __init__(self, memory: Memory, name: str, value: BpfType, max_entries: int, *, newest_first: bool) -> None:
        super().__init__(memory, name)
        self.value = value
        self.value_size = sizeof(value)
        self.max_entries = max_entries
        self._newest_first = newest_first
        self._values: deque[bytes] = deque()

    def put(self, value: bytes, flags: int) -> int:
        """Push a value: 0 or a negative error number; BPF_EXIST drops the oldest one of a full map."""
        if flags not in (UpdateFlag.ANY, UpdateFlag.EXIST):
            return -errno.EINVAL
        if len(self._values) == self.max_entries:
            if not flags:
                return -errno.E2BIG
            self._values.popleft()
        self._values.append(value)
        return 0

    def take(self, *, keep: bool = False) -> bytes | None:
        """The next value, which stays with ``keep``; None when there is none."""
        if not self._values:
            return None
        value = self._values[-1 if self._newest_first else 0]
        if not keep:
            self._values.pop() if self._newest_first else self._values.popleft()
        return value

    def push(self, value: Any, *, replace: bool = False) -> int:
        """Put a value in; KernelError with E2BIG when it is full, unless ``replace`` drops the oldest."""
        result = self.put(pack(self.value, value), UpdateFlag.EXIST if replace else UpdateFlag.ANY)
        if result:
            raise KernelError(f"update of map {self.name}", -result)
        return 0

    def pop(self) -> Any:
        """Take the next value out; None when it is empty."""
        found = self.take()
        return None if found is None else unpack(self.value, found)

    def peek(self) -> Any:
        """The next value, which stays; None when it is empty."""
        found = self.take(keep=True)
        return None if found is None else unpack(self.value, found)

    def drain(self) -> Iterator[Any]:
        """Take values out until it is empty."""
        while self._values:
            yield self.pop()

    def clear(self) -> None:
        """Take all values out."""
        self._values.clear()

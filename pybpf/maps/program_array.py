"""BPF_MAP_TYPE_PROG_ARRAY (Linux 4.2): the programs that ``bpf_tail_call`` jumps to."""

from __future__ import annotations

from typing import Protocol, cast

from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.map_ops import map_delete, map_lookup, map_update
from pybpf.maps.base import Map
from pybpf.types import BpfType, pack, u32, unpack


class _HasFd(Protocol):
    @property
    def fd(self) -> OwnedFd: ...


class ProgramArray(Map):
    """Programs by index; an index may be empty, then a tail call falls through.

    All programs are of one type, and of that of the program that calls. The kernel empties the array when its last
    descriptor and pin go, even while a program that refers to it is loaded.
    """

    map_type = MapType.PROG_ARRAY
    key: BpfType

    def __init__(self, *, max_entries: int, flags: MapFlag | int = 0, name: str = "") -> None:
        number = cast("BpfType", u32)
        super().__init__(key=number, value=number, max_entries=max_entries, flags=flags, name=name)

    def update(self, index: int, program: _HasFd | OwnedFd) -> None:
        """Put a loaded program (``tracer.process``, or its descriptor) in; replaces the one there.

        Raises:
            KernelError: EINVAL, it is of another type than the others, or calls other kinds of functions.
        """
        fd = program if isinstance(program, OwnedFd) else program.fd
        map_update(self._need("update"), pack(self.key, index), pack(self.key, fd.fileno()))

    def lookup(self, index: int) -> int | None:
        """The id of the program at ``index`` (4.12), None when there is none."""
        found = map_lookup(self._need("lookup"), pack(self.key, index), 4)
        return None if found is None else cast("int", unpack(self.key, found))

    def delete(self, index: int) -> bool:
        """Take the program at ``index`` out; False when there was none."""
        return map_delete(self._need("delete"), pack(self.key, index))

    def __setitem__(self, index: int, program: _HasFd | OwnedFd) -> None:
        self.update(index, program)

    def __delitem__(self, index: int) -> None:
        if not self.delete(index):
            raise KeyError(index)

    def __contains__(self, index: int) -> bool:
        return self.lookup(index) is not None

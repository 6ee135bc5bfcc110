"""A loaded object: its maps, programs and variables, alive until it is closed."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from pybpf.kernel.constants import MapFlag
from pybpf.kernel.prog_ops import TestRun, prog_test_run
from pybpf.objfile.attaching import attach_program
from pybpf.objfile.variables import Variables

if TYPE_CHECKING:
    import os
    import socket
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from pybpf.kernel.fd import OwnedFd
    from pybpf.links import Link
    from pybpf.maps import Map
    from pybpf.objfile.map_specs import MapSpec
    from pybpf.objfile.program_specs import ObjectProgram


class LiveProgram:
    """A program in the kernel; ``spec`` says what it was made of."""

    def __init__(self, spec: ObjectProgram, fd: OwnedFd) -> None:
        self.spec = spec
        self.name = spec.name
        self.fd = fd

    def test_run(self, data: bytes = b"", *, repeat: int = 1) -> TestRun:
        """Run it on ``data`` without attaching it (BPF_PROG_TEST_RUN, 4.12).

        Raises:
            KernelError: the kernel cannot test programs of this type.
        """
        return prog_test_run(self.fd, data, repeat=repeat)

    def attach(
        self,
        target: str | os.PathLike[str] | socket.socket | None = None,
        *,
        pid: int | None = None,
        cookie: int = 0,
    ) -> Link:
        """Attach it where its section says, or to ``target``: a function, a tracepoint, ``path:function``, a socket.

        Raises:
            ObjectError: programs of this kind are attached by other means.
            KernelError, PermissionDenied, UnsupportedFeature: the kernel refused.
        """
        return attach_program(self.fd, self.spec.hook, self.name, target, pid=pid, cookie=cookie)

    def close(self) -> None:
        """Give up the descriptor; links keep the kernel's program alive."""
        self.fd.close()

    def __repr__(self) -> str:
        return f"<LiveProgram {self.name}, {self.spec.type.name}>"


class LoadedObject:
    """A context manager that owns the descriptors of ``maps`` and ``programs``; ``variables`` are live."""

    def __init__(
        self, path: str, maps: Mapping[str, Map], programs: Mapping[str, LiveProgram], variables: Variables
    ) -> None:
        self.path = path
        self.maps = dict(maps)
        self.programs = dict(programs)
        self.variables = variables

    def close(self) -> None:
        """Close every descriptor; what links still use stays in the kernel until they are closed."""
        for program in self.programs.values():
            program.close()
        for buffer in self.variables.buffers.values():
            if isinstance(buffer, mmap.mmap):
                buffer.close()
        for live in self.maps.values():
            live.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LoadedObject {self.path}: maps {', '.join(self.maps)}; programs {', '.join(self.programs)}>"


def fill_maps(specs: Mapping[str, MapSpec], maps: Mapping[str, Map], programs: Mapping[str, LiveProgram]) -> None:
    """Put into maps of maps and of programs what their declarations say; programs that were not loaded are left out."""
    for name, spec in specs.items():
        outer: Any = maps[name]
        for index, wanted in spec.values.items():
            found = programs.get(wanted) or maps.get(wanted)
            if found is not None:
                outer[index] = found


def live_variables(blueprint: Variables, specs: Mapping[str, MapSpec], maps: Mapping[str, Map], path: str) -> Variables:
    """The same variables in the memory of the live maps (5.5: array maps can be mapped)."""
    buffers: dict[str, bytearray | mmap.mmap] = {}
    for name in blueprint.buffers:
        if name in maps and specs[name].flags & MapFlag.MMAPABLE:
            access = mmap.PROT_READ | (0 if specs[name].frozen else mmap.PROT_WRITE)
            length = -(-specs[name].value_size // mmap.PAGESIZE) * mmap.PAGESIZE
            buffers[name] = mmap.mmap(maps[name].fileno(), length, flags=mmap.MAP_SHARED, prot=access)
    places = {name: place for name, place in blueprint.places.items() if place.section in buffers}
    return Variables(path, places, buffers)

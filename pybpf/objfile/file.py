"""An object file as compilers leave it: opened, looked at, changed, loaded."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pybpf.btf import Btf, BtfError
from pybpf.elf.file import open_image_file
from pybpf.errors import KernelError
from pybpf.kernel.prog_ops import btf_load
from pybpf.objfile.btf_ext import BtfExt
from pybpf.objfile.errors import ObjectError
from pybpf.objfile.fix_btf import fixed_btf
from pybpf.objfile.functions import read_functions
from pybpf.objfile.image import ObjectImage
from pybpf.objfile.kconfig import KCONFIG, kconfig_contents, kconfig_spec, kconfig_variables
from pybpf.objfile.live import LiveProgram, LoadedObject, fill_maps, live_variables
from pybpf.objfile.program_specs import ObjectProgram, link, load_program
from pybpf.objfile.read_maps import read_maps
from pybpf.objfile.resolving import Resolver, untyped_externs
from pybpf.objfile.section_names import hook_of
from pybpf.objfile.variables import Variables, read_variables

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping

    from pybpf.kernel.fd import OwnedFd
    from pybpf.maps import Map
    from pybpf.objfile.functions import Function
    from pybpf.objfile.map_specs import MapSpec

_SIZE_MAX = 1 << 28


class ObjectFile:
    """A BPF object compiled elsewhere, inert until :meth:`load`::

        file = ObjectFile.open("opensnoop.bpf.o")
        file.variables["target_pid"] = 42
        with file.load(max_entries={"events": 1 << 16}) as tool:
            with tool.programs["tracepoint__open"].attach():
                ...

    ``maps`` and ``programs`` are specs by name, to be printed, replaced or dropped before the load; ``variables`` are
    set in place. A program of a section called ``?...`` is loaded only when asked for.

    Raises:
        ImageError: no relocatable eBPF object, truncated, garbage.
        ObjectError: sound as ELF, but its maps, code or types are broken.
    """

    def __init__(self, data: bytes, path: str = "object") -> None:
        self.path = path
        self.image = ObjectImage.parse(data, path)
        try:
            self._read()
        except BtfError as error:
            raise ObjectError(path, "BTF", str(error)) from error
        except (struct.error, RecursionError) as error:
            raise ObjectError(path, "", f"broken: {error}") from error

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> ObjectFile:
        """The object at ``path``."""
        name = str(Path(path))
        with open_image_file(name) as file:
            return cls(file.read(_SIZE_MAX) or b"", name)

    def _read(self) -> None:
        image = self.image
        blob = image.section(".BTF")
        self.btf = Btf(blob.data, name=f".BTF of {self.path}") if blob is not None and blob.data else None
        self._btf_blob = b""
        ext = BtfExt()
        if self.btf is not None and blob is not None:
            self._btf_blob = fixed_btf(blob.data, self.btf, image)
            section = image.section(".BTF.ext")
            ext = BtfExt.parse(section.data, self.btf) if section is not None and section.data else ext
        text = image.section("license")
        self.license = text.data.split(b"\0")[0].decode("ascii", "replace") if text is not None else ""
        places = read_maps(image, self.btf)
        self.maps: dict[str, MapSpec] = {spec.name: spec for spec in places.values()}
        self.variables: Variables = read_variables(image, self.btf)
        self._kconfig = kconfig_variables(self.btf)
        if self._kconfig:
            self.maps[KCONFIG] = kconfig_spec(self._kconfig)
        functions = read_functions(image, self.btf, ext, places, self._kconfig)
        self._untyped = untyped_externs(self.btf)
        self.programs: dict[str, ObjectProgram] = {}
        for function in functions.values():
            self._add_program(function, functions)
        self._weak = frozenset(symbol.name for symbol in image.symbols if symbol.section == 0 and symbol.weak)

    def _add_program(self, function: Function, functions: Mapping[str, Function]) -> None:
        if function.section == ".text":
            return
        hook = hook_of(function.section)
        if hook is None:
            raise ObjectError(self.path, function.name, f"section {function.section!r} names no kind of program")
        self.programs[function.name] = ObjectProgram(
            function.name, hook, function.section, self.license, link(function, functions)
        )

    def __str__(self) -> str:
        lines = [f"{self.path}: license {self.license or 'none'}"]
        lines += [f"  map {spec}" for spec in self.maps.values()]
        lines += [f"  variable {place}" for place in self.variables.places.values()]
        for program in self.programs.values():
            size = sum(function.slots for function in program.functions)
            lines.append(
                f"  program {program.name}: {program.section}, {program.type.name}, {size} instructions, "
                f"{len(program.functions)} functions, {program.relocations} CO-RE relocations"
            )
        return "\n".join(lines)

    def load(
        self,
        *,
        max_entries: Mapping[str, int] | None = None,
        programs: Collection[str] | None = None,
        pins: str | os.PathLike[str] = "/sys/fs/bpf",
    ) -> LoadedObject:
        """Create the maps and load the programs; nothing runs until a program is attached.

        ``max_entries`` overrides sizes by name of map; ``programs`` are those to load (None: all but the optional).
        Maps declared with LIBBPF_PIN_BY_NAME are shared: opened where they are pinned in ``pins``, or made and pinned.

        Raises:
            VerifierError: a program is wrong; names the line of C.
            ObjectError: it asks for what this kernel, or this loader, does not have.
            PermissionDenied, UnsupportedFeature, KernelError: the kernel refused.
        """
        unknown = sorted(set(max_entries or {}) - set(self.maps)) + sorted(set(programs or ()) - set(self.programs))
        if unknown:
            raise ObjectError(self.path, unknown[0], "there is no such map or program")
        specs = {name: self._final(spec, (max_entries or {}).get(name)) for name, spec in self.maps.items()}
        chosen = [
            p for n, p in self.programs.items() if (n in programs if programs is not None else not p.hook.optional)
        ]
        with ExitStack() as stack:
            btf_fd = self._load_btf()
            if btf_fd is not None:
                stack.callback(btf_fd.close)
            with ExitStack() as failed:
                maps: dict[str, Map] = {}
                for name, spec in specs.items():
                    maps[name] = self._create(spec, btf_fd, Path(pins))
                    failed.callback(maps[name].close)
                resolver = Resolver(self.path, self.btf, btf_fd, maps, self._weak, self._untyped)
                live: dict[str, LiveProgram] = {}
                for program in chosen:
                    live[program.name] = LiveProgram(program, load_program(program, resolver))
                    failed.callback(live[program.name].close)
                fill_maps(specs, maps, live)
                variables = live_variables(self.variables, specs, maps, self.path)
                failed.pop_all()
        return LoadedObject(self.path, maps, live, variables)

    def _final(self, spec: MapSpec, max_entries: int | None) -> MapSpec:
        """The map with the variables as they are set now, and what the kernel's configuration says."""
        if spec.name == KCONFIG and self._kconfig:
            spec = replace(spec, contents=kconfig_contents(self._kconfig, self._weak, self.path))
        if spec.contents is not None and spec.name in self.variables.buffers:
            spec = replace(spec, contents=bytes(self.variables.buffers[spec.name]))
        return spec if max_entries is None else spec.resized(max_entries)

    def _create(self, spec: MapSpec, btf_fd: OwnedFd | None, pins: Path) -> Map:
        try:
            return spec.shared(pins / spec.name, btf_fd) if spec.pinned else spec.create(btf_fd)
        except (ValueError, TypeError) as error:
            raise ObjectError(self.path, spec.name, str(error)) from error

    def _load_btf(self) -> OwnedFd | None:
        """The object's types in the kernel; programs and maps load without them where it takes none (before 4.18)."""
        if not self._btf_blob:
            return None
        try:
            return btf_load(self._btf_blob)
        except KernelError:
            return None

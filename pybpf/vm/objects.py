"""Whole objects: the maps and programs of a BpfObject, in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Protocol, cast, runtime_checkable

from pybpf.errors import PybpfError
from pybpf.kernel.constants import MapType, ProgramType
from pybpf.kernel.prog_ops import TestRun
from pybpf.lang.compile import compile_function
from pybpf.lang.target import Target
from pybpf.maps import Map
from pybpf.program import ProgramSpec
from pybpf.vm.machine import INSTRUCTION_LIMIT, Machine
from pybpf.vm.maps import ARRAYS, TABLES, KeyedVmMap, VmMap
from pybpf.vm.memory import Memory
from pybpf.vm.packet import ETHERNET, socket_packet, xdp_packet
from pybpf.vm.programs import VmPrograms
from pybpf.vm.pushed import VmPushed
from pybpf.vm.rings import VmRing
from pybpf.vm.templates import M32
from pybpf.vm.tries import VmTrie

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from pybpf.types import BpfType
    from pybpf.vm.machine import Helper

_CLASSIFIERS = (ProgramType.SCHED_CLS, ProgramType.SCHED_ACT)
_RINGS = (MapType.RINGBUF, MapType.PERF_EVENT_ARRAY)
_PUSHED = (MapType.QUEUE, MapType.STACK)
_PERF_SIZE = 1 << 20


class Compilable(Protocol):
    """A BpfObject, as far as needed; its maps and programs are attributes of its class."""

    def attribute(self, name: str) -> Any:
        """What a name of the class means inside of a program."""


@runtime_checkable
class Compiled(Protocol):
    """A declared program: a Python function of one hook."""

    function: Callable[..., Any]
    program_type: ProgramType


class UnsupportedMap(PybpfError):
    """There is no map of this kind in Python. Attributes: ``name``, ``map_type``."""

    def __init__(self, name: str, map_type: MapType) -> None:
        self.name = name
        self.map_type = map_type
        super().__init__(name, map_type)

    def __str__(self) -> str:
        return f"map {self.name} is a {self.map_type.name}, which pybpf.vm does not have"


class VmProgram:
    """A program of an object. Call it with what its hook hands over: see :meth:`__call__`."""

    def __init__(self, spec: ProgramSpec, machine: Machine) -> None:
        self.spec = spec
        self.machine = machine

    def __call__(self, data: bytes | bytearray = b"", **options: Any) -> int:
        """Run it once: its result, the lower 32 bits, as BPF_PROG_TEST_RUN gives it.

        ``data`` is a frame with its Ethernet header for socket filters, classifiers and XDP, and the context itself
        (``struct pt_regs``, say) for all others; a bytearray shows what the program wrote. Options as of
        :meth:`Machine.run`.

        Raises:
            VmFault: the program did what it may not.
        """
        memory, kind = self.machine.memory, self.spec.type
        if kind is ProgramType.XDP:
            packet = xdp_packet(memory, data)
        elif kind is ProgramType.SOCKET_FILTER or kind in _CLASSIFIERS:
            packet = socket_packet(memory, data, start=0 if kind in _CLASSIFIERS else ETHERNET)
        else:
            region = memory.add(data if isinstance(data, bytearray) else bytearray(data), "context")
            try:
                return self.machine.run(region.address, **options) & M32
            finally:
                memory.remove(region)
        try:
            return self.machine.run(packet.context.address, packet=packet, **options) & M32
        finally:
            packet.close(memory)
            if isinstance(data, bytearray):
                data[:] = packet.frame

    def test_run(self, data: bytes | bytearray = b"", *, repeat: int = 1) -> TestRun:
        """As a live program's: the result of the last of ``repeat`` runs and the data after it, time not measured.

        Raises:
            VmFault: the program did what it may not.
        """
        frame = bytearray(data)
        for _ in range(repeat - 1):
            self(bytes(data))
        return TestRun(self(frame), bytes(frame), 0)


class VmObject:
    """The maps and programs of an object as attributes; a context manager like the loaded object."""

    def __init__(self, maps: Mapping[str, VmMap], programs: Mapping[str, VmProgram], memory: Memory) -> None:
        self.maps = maps
        self.programs = programs
        self.memory = memory

    def __getattr__(self, name: str) -> Any:
        for members in (self.__dict__["maps"], self.__dict__["programs"]):
            if name in members:
                return members[name]
        raise AttributeError(f"the object has no map and no program {name!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to give back: there are no descriptors."""


def run_in_vm(
    blueprint: Compilable,
    *,
    cpus: int = 2,
    helpers: Mapping[int, Helper] | None = None,
    kfuncs: Mapping[str, Helper] | None = None,
    instruction_limit: int = INSTRUCTION_LIMIT,
) -> VmObject:
    """The maps and programs of a BpfObject, ready to run in Python instead of being loaded.

    Each program is an attribute to be called with a packet or a context, each map an attribute with the methods of the
    live one; ``cpus`` is how many values per-CPU maps have. Nothing is asked of the kernel: a session program is one
    that runs at both ends, and its machine's ``is_return`` says at which.

    Raises:
        CompileError: a program is not in the language.
        UnsupportedMap: a map's kind is not here.
        VmFault: a program cannot be assembled.
    """
    memory = Memory()
    declared = {name: value for cls in reversed(type(blueprint).__mro__) for name, value in vars(cls).items()}
    specs = {
        name: ProgramSpec(
            name, hook.program_type, compile_function(hook.function, blueprint.attribute, Target()).instructions
        )
        for name, hook in declared.items()
        if isinstance(hook, Compiled)
    }
    maps = {
        name: vm_map(spec, memory, name=name, cpus=cpus) for name, spec in declared.items() if isinstance(spec, Map)
    }
    programs = {
        name: VmProgram(
            spec,
            Machine(
                spec.instructions,
                memory=memory,
                maps=cast("Mapping[str | int, VmMap]", maps),
                helpers=helpers,
                kfuncs=kfuncs,
                instruction_limit=instruction_limit,
            ),
        )
        for name, spec in specs.items()
    }
    return VmObject(maps, programs, memory)


def vm_map(spec: Map, memory: Memory, *, name: str = "", cpus: int = 2) -> VmMap:
    """The map a declaration describes, in Python.

    Raises:
        UnsupportedMap: its kind is not here.
    """
    name = name or spec.name
    if spec.map_type in _RINGS:
        return VmRing(memory, name, spec.max_entries or _PERF_SIZE)
    key, value = cast("BpfType", spec.key), cast("BpfType", spec.value)
    if spec.map_type is MapType.PROG_ARRAY:
        return VmPrograms(memory, name, spec.max_entries)
    if spec.map_type in _PUSHED:
        newest_first = spec.map_type is MapType.STACK
        return VmPushed(memory, name, value, spec.max_entries, newest_first=newest_first)
    if spec.map_type not in (*ARRAYS, *TABLES, MapType.LPM_TRIE):
        raise UnsupportedMap(name, spec.map_type)
    kind = VmTrie if spec.map_type is MapType.LPM_TRIE else KeyedVmMap
    return kind(memory, name, spec.map_type, key, value, spec.max_entries, cpus=cpus)

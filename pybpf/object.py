"""Maps, constants and programs that belong together, declared as a class and loaded as one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pybpf.errors import NotLoaded
from pybpf.hooks.base import Hook
from pybpf.lang.surface import Constant
from pybpf.maps import Map
from pybpf.types import pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

    from pybpf.program import ProgramSpec

T = TypeVar("T")


class BpfObject:
    """The base of classes of BPF programs::

        class Packets(BpfObject):
            counts = Array(value=u64, max_entries=256)

            @socket_filter
            def count(self, ctx: SkBuff) -> int:
                self.counts[ctx.u8(9)] += 1
                return 0

        with Packets().load() as packets:
            ...

    An instance is a blueprint until :meth:`load`, which gives a live one of the same class: its attributes are live
    maps and programs, it owns their descriptors and closes them as a context manager. Keyword arguments set the
    class's :class:`~pybpf.lang.Constant` declarations.

    Raises:
        TypeError: a keyword names no constant.
        OverflowError: a constant's value does not fit its type.
    """

    _maps: ClassVar[dict[str, Map]] = {}
    _programs: ClassVar[dict[str, Hook]] = {}
    _constants: ClassVar[dict[str, Constant[Any]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._maps = {**cls._maps, **_members(cls, Map)}
        cls._programs = {**cls._programs, **_members(cls, Hook)}
        cls._constants = {**cls._constants, **_members(cls, Constant)}

    def __init__(self, **constants: int) -> None:
        unknown = sorted(set(constants) - set(self._constants))
        if unknown:
            raise TypeError(f"{type(self).__name__} has no constant {', '.join(unknown)}")
        self.constants: dict[str, int] = {}
        for name, declared in self._constants.items():
            value = constants.get(name, declared.default)
            if value is None:
                raise TypeError(f"{type(self).__name__} needs a value for {name}")
            pack(declared.type, value)
            self.constants[name] = int(value)
        self._live_maps: dict[str, Map] | None = None
        self._live_programs: dict[str, Hook] = {}
        self._borrowed: frozenset[str] = frozenset()

    def attribute(self, name: str) -> Any:
        """What ``self.name`` means inside of a program.

        Raises:
            AttributeError: the class has no such declaration.
        """
        for cls in type(self).__mro__:
            if name in vars(cls):
                found = vars(cls)[name]
                return self.constants[name] if isinstance(found, Constant) else found
        raise AttributeError(f"{type(self).__name__} declares no {name!r}")

    def compile(self) -> dict[str, ProgramSpec]:
        """All programs in instructions, without touching the kernel's maps; print one to see its disassembly.

        Raises:
            CompileError: one of them is not in the language.
        """
        return {
            f"{name}:{variant}" if variant else name: spec
            for name, hook in self._programs.items()
            for variant, spec in hook.specs(self.attribute).items()
        }

    def load(self, *, max_entries: dict[str, int] | None = None, maps: Mapping[str, Map] | None = None) -> Self:
        """Create the maps, compile and load the programs; nothing runs until a program is attached.

        ``max_entries`` overrides the declared size of maps by name. ``maps`` are live ones to use in place of new ones
        (opened pins, maps of another object); they stay the caller's.

        Raises:
            CompileError, VerifierError: a program is wrong.
            PermissionDenied, UnsupportedFeature, KernelError: the kernel refused.
        """
        live = copy.copy(self)
        live._live_maps, live._live_programs, live._borrowed = {}, {}, frozenset(maps or ())
        unknown = sorted(live._borrowed - set(self._maps))
        if unknown:
            raise TypeError(f"{type(self).__name__} has no map {', '.join(unknown)}")
        try:
            for name, spec in self._maps.items():
                given = (maps or {}).get(name)
                if given is None:
                    given = spec.create(max_entries=(max_entries or {}).get(name))
                live._live_maps[name] = given
            for name, hook in self._programs.items():
                live._live_programs[name] = hook.load(self.attribute, live._live_maps)
        except BaseException:
            live.close()
            raise
        return live

    def live_map(self, name: str) -> Map:
        """The loaded map called ``name``.

        Raises:
            NotLoaded: this is the blueprint.
        """
        if self._live_maps is None:
            raise NotLoaded(type(self).__name__, name)
        return self._live_maps[name]

    def live_program(self, name: str) -> Hook:
        """The loaded program called ``name``.

        Raises:
            NotLoaded: this is the blueprint.
        """
        if self._live_maps is None:
            raise NotLoaded(type(self).__name__, name)
        return self._live_programs[name]

    def close(self) -> None:
        """Close every descriptor; what links still use stays in the kernel until they are closed."""
        for program in self._live_programs.values():
            program.close()
        for name, live_map in (self._live_maps or {}).items():
            if name not in self._borrowed:
                live_map.close()

    def __enter__(self) -> Self:
        if self._live_maps is None:
            raise NotLoaded(type(self).__name__, "__enter__")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _members(cls: type, kind: type[T]) -> dict[str, T]:
    return {name: value for name, value in vars(cls).items() if isinstance(value, kind)}

"""What all kinds of maps share: the inert declaration, and the live map that owns a descriptor."""

from __future__ import annotations

import copy
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pybpf.errors import NotLoaded, OutsideProgram
from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.info import MapInfo, map_info
from pybpf.kernel.map_ops import map_create
from pybpf.types import sizeof

if TYPE_CHECKING:
    from typing_extensions import Self

    from pybpf.types import BpfType

T = TypeVar("T")


class Map:
    """A map: as declared it is inert, ``create()`` gives the live one, of the same class.

    As an attribute of a BpfObject it is the declaration when read from the class and the live map when read from an
    instance. Inside a program the same methods are compiled. ``key`` and ``value`` are BPF types (None where the kind
    has none), ``max_entries`` counts elements, ``name`` is the attribute's.
    """

    map_type: ClassVar[MapType]

    def __init__(
        self, *, key: BpfType | None, value: BpfType | None, max_entries: int, flags: MapFlag | int = 0, name: str = ""
    ) -> None:
        if max_entries < 0 or max_entries >= 1 << 32:
            raise ValueError(f"max_entries {max_entries} is not within 0 to 2**32 - 1")
        self.key = key
        self.value = value
        self.max_entries = max_entries
        self.flags = MapFlag(flags)
        self.name = name
        self._fd: OwnedFd | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        if not self.name:
            self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Self:
        if instance is None:
            return self
        live: Self = instance.live_map(self.name)
        return live

    @property
    def key_size(self) -> int:
        """Bytes of a key, as MAP_CREATE wants it."""
        return 0 if self.key is None else sizeof(self.key)

    @property
    def value_size(self) -> int:
        """Bytes of a value (of one CPU), as MAP_CREATE wants it."""
        return 0 if self.value is None else sizeof(self.value)

    def create(
        self,
        name: str | None = None,
        *,
        max_entries: int | None = None,
        btf_fd: OwnedFd | None = None,
        btf_key_type_id: int = 0,
        btf_value_type_id: int = 0,
    ) -> Self:
        """The live map: a new kernel object that this one owns. ``max_entries`` overrides the declared number.

        Raises :class:`~pybpf.errors.KernelError`, :class:`~pybpf.errors.PermissionDenied`.
        """
        live = copy.copy(self)
        if name:
            live.name = name
        if max_entries is not None:
            live.max_entries = max_entries
        live._fd = map_create(
            self.map_type,
            live.key_size,
            live.value_size,
            live._kernel_entries(),
            flags=live.flags,
            name=live.name,
            btf_fd=btf_fd,
            btf_key_type_id=btf_key_type_id,
            btf_value_type_id=btf_value_type_id,
        )
        try:
            live._opened()
        except BaseException:
            live.close()
            raise
        return live

    def _kernel_entries(self) -> int:
        """``max_entries`` as this kind hands it to the kernel, which may depend on the machine."""
        return self.max_entries

    def _opened(self) -> None:
        """Called on a live map when its descriptor is there."""

    @property
    def live(self) -> bool:
        """True when this map owns an open descriptor."""
        return self._fd is not None and not self._fd.closed

    @property
    def fd(self) -> OwnedFd:
        """The descriptor of a live map; :class:`~pybpf.errors.NotLoaded` on a declaration."""
        return self._need("fd")

    def fileno(self) -> int:
        """The number of the descriptor of a live map."""
        return self._need("fileno").fileno()

    def info(self) -> MapInfo:
        """What the kernel says of a live map."""
        return map_info(self._need("info"))

    def close(self) -> None:
        """Give up the kernel object; programs and links that use the map keep it alive."""
        if self._fd is not None:
            self._fd.close()

    def __enter__(self) -> Self:
        self._need("__enter__")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _need(self, method: str) -> OwnedFd:
        if self._fd is None:
            raise NotLoaded(self._label(), method)
        return self._fd

    def _only_in_programs(self, method: str) -> OutsideProgram:
        return OutsideProgram(self._label(), method)

    def _label(self) -> str:
        return f"{type(self).__name__} {self.name}" if self.name else type(self).__name__

    def __repr__(self) -> str:
        parts = [repr(self.name)] if self.name else []
        for what in ("key", "value"):
            kind = getattr(self, what)
            if kind is not None:
                parts.append(f"{what}={getattr(kind, '__name__', kind)!s}")
        parts.append(f"max_entries={self.max_entries}")
        if self._fd is not None:
            parts.append("closed" if self._fd.closed else f"fd={self._fd.fileno()}")
        return f"{type(self).__name__}({', '.join(parts)})"

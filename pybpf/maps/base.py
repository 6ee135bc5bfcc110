"""What all kinds of maps share: the inert declaration, and the live map that owns a descriptor."""

from __future__ import annotations

import contextlib
import copy
import errno
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pybpf.errors import IncompatibleMap, KernelError, NotLoaded, OutsideProgram
from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.fd import OwnedFd
from pybpf.kernel.info import MapInfo, map_info
from pybpf.kernel.map_ops import map_create, map_freeze
from pybpf.kernel.prog_ops import btf_load
from pybpf.maps.type_info import TypeUse, type_info
from pybpf.types import sizeof

if TYPE_CHECKING:
    from typing_extensions import Self

    from pybpf.types import BpfType

T = TypeVar("T")

_NO_TYPES_HERE = (errno.EINVAL, errno.EOPNOTSUPP, 524)
"""How kernels say that they, or a kind of map, take no BTF; 524 is the kernel's own ENOTSUPP."""


class Map:
    """A map: as declared it is inert, ``create()`` gives the live one, of the same class.

    As an attribute of a BpfObject it is the declaration when read from the class and the live map when read from an
    instance. Inside a program the same methods are compiled. ``key`` and ``value`` are BPF types (None where the kind
    has none), ``max_entries`` counts elements, ``name`` is the attribute's.
    """

    map_type: ClassVar[MapType]
    type_use: ClassVar[TypeUse] = TypeUse.NONE
    needed_flags: ClassVar[MapFlag] = MapFlag(0)
    """Flags without which the kernel makes no map of this kind; always set."""

    def __init__(
        self, *, key: BpfType | None, value: BpfType | None, max_entries: int, flags: MapFlag | int = 0, name: str = ""
    ) -> None:
        if max_entries < 0 or max_entries >= 1 << 32:
            raise ValueError(f"max_entries {max_entries} is not within 0 to 2**32 - 1")
        self.key = key
        self.value = value
        self.max_entries = max_entries
        self.flags = MapFlag(flags) | self.needed_flags
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
        token: OwnedFd | None = None,
    ) -> Self:
        """The live map: a new kernel object that this one owns. ``max_entries`` overrides the declared number.

        The types of keys and values go along as BTF where the kernel takes it, from ``btf_fd`` or, without one, made
        here; so ``bpftool map dump`` prints the names of fields. A BPF ``token`` stands in for capabilities
        (:mod:`pybpf.kernel.token`, 6.9).

        Raises :class:`~pybpf.errors.KernelError`, :class:`~pybpf.errors.PermissionDenied`.
        """
        live = copy.copy(self)
        if name:
            live.name = name
        if max_entries is not None:
            live.max_entries = max_entries
        if btf_fd is not None:
            live._fd = live._new(btf_fd, btf_key_type_id, btf_value_type_id, token)
        else:
            live._fd = live._new_with_types(token)
        return live._ready()

    def adopt(self, fd: OwnedFd) -> Self:
        """The live map over a kernel object that is there already (a pin, an id); it owns ``fd`` from now on.

        Raises:
            IncompatibleMap: it is of another kind, or its sizes are not the declared ones; ``fd`` stays the caller's.
        """
        info = map_info(fd)
        found = {"map_type": info.type, "key_size": info.key_size, "value_size": info.value_size}
        differences = [
            f"{what} is {value}, declared {getattr(self, what)!r}"
            for what, value in found.items()
            if value != getattr(self, what)
        ]
        if differences:
            raise IncompatibleMap(self._label(), tuple(differences))
        live = copy.copy(self)
        live.max_entries, live.name = info.max_entries, self.name or info.name
        live._fd = fd
        return live._ready()

    def _ready(self) -> Self:
        try:
            self._opened()
        except BaseException:
            self.close()
            raise
        return self

    def _new_with_types(self, token: OwnedFd | None) -> OwnedFd:
        types = None if self.type_use is TypeUse.NONE else type_info(self.key, self.value)
        if types is None:
            return self._new(None, 0, 0, token)
        try:
            with btf_load(types.blob, token=token) as btf_fd:
                return self._new(btf_fd, types.key_id, types.value_id, token)
        except KernelError as error:
            # Without CAP_BPF some maps may still be made, BTF may not; kernels before 4.18 know none.
            if self.type_use is TypeUse.REQUIRED or error.errno not in (*_NO_TYPES_HERE, errno.EPERM, errno.E2BIG):
                raise
        return self._new(None, 0, 0, token)

    def _new(self, btf_fd: OwnedFd | None, key_id: int, value_id: int, token: OwnedFd | None) -> OwnedFd:
        """The kernel object."""
        with contextlib.ExitStack() as stack:
            pattern = self._inner_pattern(token)
            if pattern is not None:
                stack.enter_context(pattern)
            return map_create(
                self.map_type,
                self.key_size,
                self.value_size,
                self._kernel_entries(),
                flags=self.flags,
                name=self.name,
                btf_fd=btf_fd,
                btf_key_type_id=key_id,
                btf_value_type_id=value_id,
                map_extra=self._extra(),
                inner_map=None if pattern is None else pattern.fd,
                token=token,
            )

    def _extra(self) -> int:
        """``map_extra``, whose meaning is the kind's."""
        return 0

    def _inner_pattern(self, token: OwnedFd | None) -> Map | None:
        """A live map like those that a map of maps will hold; closed once the outer one exists."""
        return None

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

    def freeze(self) -> None:
        """Make a live map read-only for user space, for ever (5.2); programs are bound by MapFlag.RDONLY_PROG."""
        map_freeze(self._need("freeze"))

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

"""What an object refers to and only the running kernel knows: descriptors, BTF ids, CO-RE answers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Callable, TypeVar

from pybpf.asm import Instruction, KfuncReference, call, load_imm64
from pybpf.asm.operands import Register
from pybpf.btf import Btf, BtfError, KernelBtf, Kind
from pybpf.kernel.constants import ProgramType
from pybpf.objfile.core import CoreResolver, Outcome
from pybpf.objfile.core.relocate import POISON
from pybpf.objfile.errors import ObjectError
from pybpf.objfile.section_names import Hook, TargetKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pybpf.asm import Reference
    from pybpf.kernel.fd import OwnedFd
    from pybpf.maps import Map
    from pybpf.objfile.btf_ext import CoreRelocation

T = TypeVar("T")

_TARGETS = {
    TargetKind.FUNCTION: ("", Kind.FUNC),
    TargetKind.TRACEPOINT: ("btf_trace_", Kind.TYPEDEF),
    TargetKind.LSM: ("bpf_lsm_", Kind.FUNC),
    TargetKind.ITERATOR: ("bpf_iter_", Kind.FUNC),
}


class Resolver:
    """Answers for one load of one object; the kernel's BTF is read when something asks for it, and let go with this."""

    def __init__(
        self,
        path: str,
        btf: Btf | None,
        btf_fd: OwnedFd | None,
        maps: Mapping[str, Map],
        weak: frozenset[str],
        kernel: Callable[[], Btf] = KernelBtf.load,
    ) -> None:
        self.path = path
        self.btf_fd = btf_fd
        self._maps = maps
        self._weak = weak
        self._kernel = functools.lru_cache(maxsize=1)(kernel)
        self._core = CoreResolver(btf, self._kernel) if btf is not None else None

    def core(self, relocation: CoreRelocation, where: str) -> Outcome:
        """The answer to a CO-RE relocation.

        Raises:
            ObjectError: it is broken, or the kernel's types contradict each other.
        """
        if self._core is None:
            raise ObjectError(self.path, where, "CO-RE relocations without BTF")
        return self.guard(where, self._core.resolve, relocation)

    def guard(self, where: str, function: Callable[..., T], *arguments: object) -> T:
        """Call ``function``; broken types become an :class:`ObjectError` about ``where``."""
        try:
            return function(*arguments)
        except BtfError as error:
            raise ObjectError(self.path, where, str(error)) from error

    def number(self, reference: Reference) -> int:
        """The descriptor of a map, or the BTF id of a kernel function or variable.

        Raises:
            ObjectError: the kernel has none of this name.
        """
        if not isinstance(reference, KfuncReference):
            if reference.name not in self._maps:
                raise ObjectError(self.path, reference.name, "no map of this name was created")
            return self._maps[reference.name].fileno()
        found = self._extern(reference.name)
        if found is None:
            raise ObjectError(self.path, reference.name, "this kernel has no such function or variable in its BTF")
        return found

    def weak(self, ins: Instruction) -> Instruction:
        """The instruction; a reference to something weak that the kernel does not have becomes zero, or a poison."""
        reference = ins.reference
        if not isinstance(reference, KfuncReference) or reference.name not in self._weak:
            return ins
        if self._extern(reference.name) is not None:
            return ins
        plain = load_imm64(Register(ins.dst), 0) if ins.is_wide else call(POISON)
        return plain.labelled(*ins.labels).at(ins.source)

    def attach_id(self, hook: Hook, where: str) -> int:
        """The BTF id of what a program attaches to; 0 where its type needs none.

        Raises:
            ObjectError: the section names nothing, or something that the kernel does not have.
        """
        if hook.type in (ProgramType.EXT, ProgramType.STRUCT_OPS):
            raise ObjectError(self.path, where, f"{hook.kind} programs cannot be loaded here")
        if hook.target_kind is TargetKind.NONE:
            return 0
        if not hook.target:
            raise ObjectError(self.path, where, f"its section names no {hook.target_kind.value}: {hook.kind}/NAME")
        prefix, kind = _TARGETS[hook.target_kind]
        found = self._kernel().find(prefix + hook.target, kind)
        if found is None:
            raise ObjectError(self.path, where, f"this kernel has no {hook.target_kind.value} {hook.target}")
        return found

    def _extern(self, name: str) -> int | None:
        kernel = self._kernel()
        found = kernel.find(name, Kind.FUNC)
        return found if found is not None else kernel.find(name, Kind.VAR)

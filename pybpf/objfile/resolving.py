"""What an object refers to and only the running kernel knows: descriptors, BTF ids, CO-RE answers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Callable, TypeVar

from pybpf.asm import Instruction, KfuncReference, call, load_imm64
from pybpf.asm.operands import Register
from pybpf.btf import VOID, Btf, BtfError, KernelBtf, Kind, Var, strip
from pybpf.kernel.constants import ProgramType
from pybpf.objfile.core import CoreResolver, Outcome
from pybpf.objfile.core.relocate import POISON
from pybpf.objfile.errors import ObjectError
from pybpf.objfile.read_maps import data_section
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
        untyped: frozenset[str] = frozenset(),
        kernel: Callable[[], Btf] = KernelBtf.load,
    ) -> None:
        self.path = path
        self.btf_fd = btf_fd
        self._maps = maps
        self._weak = weak
        self._untyped = untyped
        self._addresses = functools.lru_cache(maxsize=1)(lambda: kernel_addresses(untyped))
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

    def extern(self, ins: Instruction) -> Instruction:
        """The instruction; a symbol without a type becomes its address, something weak and missing zero, or a poison.

        Raises:
            ObjectError: the kernel has no such symbol.
        """
        reference = ins.reference
        if not isinstance(reference, KfuncReference):
            return ins
        if reference.name in self._untyped:
            address = self._addresses().get(reference.name, 0)
            if not address and reference.name not in self._weak:
                raise ObjectError(self.path, reference.name, "this kernel shows no such symbol in /proc/kallsyms")
            loaded = load_imm64(Register(ins.dst), address - (1 << 64) if address >> 63 else address)
            return loaded.labelled(*ins.labels).at(ins.source)
        if reference.name not in self._weak:
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


def kernel_addresses(names: frozenset[str]) -> dict[str, int]:
    """The addresses of kernel symbols, as far as /proc/kallsyms shows them to this process."""
    found: dict[str, int] = {}
    try:
        with open("/proc/kallsyms", encoding="ascii", errors="replace") as lines:
            for line in lines:
                address, _, name = line.split()[:3]
                if name in names:
                    found.setdefault(name, int(address, 16))
    except OSError:
        return {}
    return found


def untyped_externs(btf: Btf | None) -> frozenset[str]:
    """The names declared ``extern const void NAME __ksym``: of those only the address is wanted.

    Raises:
        BtfError: the types are broken.
    """
    record = data_section(btf, ".ksyms")
    if btf is None or record is None:
        return frozenset()
    variables = [btf.type(item.type) for item in record[1].items]
    return frozenset(v.name for v in variables if isinstance(v, Var) and strip(btf, v.type) == VOID)

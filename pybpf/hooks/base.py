"""What all kinds of programs share: a method of a class, compiled and loaded with it, attached by its hook."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Callable, ClassVar

from pybpf.errors import NotLoaded
from pybpf.kernel.constants import AttachType, ProgramType
from pybpf.kernel.prog_ops import TestRun, prog_test_run
from pybpf.lang.compile import compile_function
from pybpf.lang.target import Target
from pybpf.program import ProgramSpec, kernel_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from pybpf.kernel.fd import OwnedFd
    from pybpf.maps import Map


class Hook:
    """A program as an attribute of its class: inert when read from the class, live when read from a loaded object.

    Subclasses set the program type and add ``attach``.
    """

    program_type: ClassVar[ProgramType]
    attach_type: ClassVar[AttachType] = AttachType.NONE

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = function.__name__
        self.__doc__ = function.__doc__
        self._fds: dict[str, OwnedFd] = {}

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Self:
        if instance is None:
            return self
        live: Self = instance.live_program(self.name)
        return live

    def variants(self) -> dict[str, tuple[Target, AttachType]]:
        """What is compiled for the kernel at hand: usually one program, called ""."""
        return {"": (Target(), self.attach_type)}

    def specs(self, owner: Callable[[str], Any]) -> dict[str, ProgramSpec]:
        """The program in instructions, one for each of :meth:`variants`.

        Raises:
            CompileError: it is not in the language.
        """
        specs = {}
        for variant, (target, attach_type) in self.variants().items():
            compiled = compile_function(self.function, owner, target)
            specs[variant] = ProgramSpec(self.name, self.program_type, compiled.instructions, attach_type)
        return specs

    def load(self, owner: Callable[[str], Any], maps: Mapping[str, Map]) -> Self:
        """The live program: of the same class, owning descriptors."""
        live = copy.copy(self)
        live._fds = {}
        try:
            for variant, spec in self.specs(owner).items():
                live._fds[variant] = spec.load(maps)
        except BaseException:
            live.close()
            raise
        return live

    @property
    def fd(self) -> OwnedFd:
        """The descriptor of a live program.

        Raises:
            NotLoaded: this is the blueprint.
        """
        return self.descriptor("")

    def descriptor(self, variant: str) -> OwnedFd:
        """The descriptor of one of the loaded variants.

        Raises:
            NotLoaded: this is the blueprint, or the variant is not what this kernel needs.
        """
        if variant not in self._fds:
            raise NotLoaded(self.name, "attach")
        return self._fds[variant]

    def test_run(self, data: bytes = b"", *, repeat: int = 1) -> TestRun:
        """Run the program once (or ``repeat`` times) on ``data`` without attaching it (BPF_PROG_TEST_RUN, 4.12).

        Raises:
            KernelError: the kernel cannot test programs of this type.
        """
        return prog_test_run(self.fd, data, repeat=repeat)

    def close(self) -> None:
        """Give up the descriptors; links keep the kernel's program alive."""
        for fd in self._fds.values():
            fd.close()


def session_target() -> Target:
    """The target of a program that serves entry and return alike."""
    names = ("bpf_session_is_return",)
    return Target(kfuncs_with_context=frozenset(name for name in names if kernel_function(name).parameters))

"""Programs at functions of user space: at entry, at return, or at both in one program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, ClassVar, Union

from pybpf.elf import ElfImage, ProbeSite, ProcessGone, check_process, plan_probe, processes_mapping
from pybpf.errors import NotLoaded, UnsafeProbeSite
from pybpf.hooks.base import Hook, session_target
from pybpf.kernel.constants import ProgramType
from pybpf.lang.compile import compile_function
from pybpf.lang.target import Target
from pybpf.links import Link, ProbeSide, UprobeMethod, attach_uprobe, uprobe_methods
from pybpf.program import ProgramSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from pybpf.kernel.fd import OwnedFd
    from pybpf.maps import Map

Site = Union[str, ProbeSite, int]
"""A function's name, a site chosen by :func:`pybpf.elf.plan_probe`, or a file offset that the caller answers for."""


class _UprobeHook(Hook):
    """What the three kinds share: the program is loaded for the way in which it will be attached."""

    program_type = ProgramType.KPROBE
    side: ClassVar[ProbeSide]

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._owner: Callable[[str], Any] | None = None
        self._maps: Mapping[str, Map] = {}

    def specs(self, owner: Callable[[str], Any]) -> dict[str, ProgramSpec]:
        """The program as this kernel's best way of attaching wants it; two programs where it has no sessions."""
        method = uprobe_methods(self.side)[0]
        return {_variant(method, side): self._spec(owner, method, side) for side in self._sides(method)}

    def load(self, owner: Callable[[str], Any], maps: Mapping[str, Map]) -> Self:
        """The live program, loaded for this kernel's best way of attaching; for others when they are asked for."""
        live = super().load(owner, maps)
        live._owner, live._maps = owner, maps
        return live

    def attach(
        self,
        path: str | os.PathLike[str],
        *sites: Site,
        pid: int | None = None,
        cookies: Sequence[int] | None = None,
        force: UprobeMethod | None = None,
    ) -> Link:
        """Attach to functions of the file at ``path``, in one process or in all that map it.

        Names are planned: the cheapest safe place in or just behind the function's first instruction. A probe that sees
        returns is refused while a process that it would reach runs under seccomp or with a shadow stack.

        Raises:
            SymbolNotFound, ImageError: the file has no such function, or is no ELF image.
            UnsafeProbeSite: a probe there could harm the process; no other place was found.
            UnsupportedFeature, PermissionDenied, KernelError: no way to attach is to be had.
        """
        returns = self.side is not ProbeSide.ENTRY
        if returns:
            _refuse_unsafe_returns(path, pid, sites)
        offsets = _offsets(path, sites, returns)
        return attach_uprobe(self._program, path, offsets, side=self.side, cookies=cookies, pid=pid, force=force)

    def _program(self, method: UprobeMethod, side: ProbeSide) -> OwnedFd:
        variant = _variant(method, side)
        if variant not in self._fds:
            if self._owner is None:
                raise NotLoaded(self.name, "attach")
            self._fds[variant] = self._spec(self._owner, method, side).load(self._maps)
        return self._fds[variant]

    def _sides(self, method: UprobeMethod) -> tuple[ProbeSide, ...]:
        if self.side is ProbeSide.BOTH and method is not UprobeMethod.SESSION:
            return (ProbeSide.ENTRY, ProbeSide.RETURN)
        return (self.side,)

    def _spec(self, owner: Callable[[str], Any], method: UprobeMethod, side: ProbeSide) -> ProgramSpec:
        if self.side is not ProbeSide.BOTH:
            target = Target()
        elif side is ProbeSide.BOTH:
            target = session_target()
        else:
            target = Target(session_phase=side.value)
        compiled = compile_function(self.function, owner, target)
        return ProgramSpec(self.name, self.program_type, compiled.instructions, method.attach_type)


class Uprobe(_UprobeHook):
    """A program at the entry of functions (4.17); what it returns is ignored."""

    side = ProbeSide.ENTRY


class Uretprobe(_UprobeHook):
    """A program at the return of functions (4.17); ``ctx.return_value`` is what they return."""

    side = ProbeSide.RETURN


class UprobeSession(_UprobeHook):
    """A program at entry and return (6.13); ``session_is_return()`` tells which; 1 at entry skips the return.

    Where the kernel has no sessions it is compiled and attached once for each side, and what it returns is ignored.
    """

    side = ProbeSide.BOTH


uprobe = Uprobe
"""Decorator: ``@uprobe def opened(self, ctx: Registers) -> int``."""
uretprobe = Uretprobe
"""Decorator for the return side alone."""
uprobe_session = UprobeSession
"""Decorator for one program at both sides."""


def _variant(method: UprobeMethod, side: ProbeSide) -> str:
    # programs for perf events are the same, whichever way the event is tied to them
    kind = "perf" if method in (UprobeMethod.PERF_LINK, UprobeMethod.PERF_IOCTL) else method.name.lower()
    return f"{kind} {side.value}"


def _refuse_unsafe_returns(path: str | os.PathLike[str], pid: int | None, sites: Sequence[Site]) -> None:
    for each in processes_mapping(path) if pid is None else (pid,):
        try:
            check = check_process(each)
        except ProcessGone:
            if pid is not None:
                raise
            continue
        if not check.return_probes:
            site = sites[0] if sites else "the probe"
            name = site.symbol if isinstance(site, ProbeSite) else str(site)
            raise UnsafeProbeSite(name, 0, f"process {each}, {check.reason}, or name one process that allows it")


def _offsets(path: str | os.PathLike[str], sites: Sequence[Site], returns: bool) -> list[int]:
    names = [site for site in sites if isinstance(site, str)]
    planned = plan_probes(path, names, needs_return=returns) if names else {}
    return [
        planned[site].offset if isinstance(site, str) else site.offset if isinstance(site, ProbeSite) else site
        for site in sites
    ]


def plan_probes(
    path: str | os.PathLike[str], names: Sequence[str], *, needs_return: bool = True
) -> dict[str, ProbeSite]:
    """The site of each function of one file; errors as for :func:`pybpf.elf.plan_probe`."""
    with ElfImage.open(path) as image:
        return {name: plan_probe(image, name, needs_return=needs_return) for name in names}

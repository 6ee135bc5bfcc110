"""Programs of an object: one function with all it calls, ready to be resolved against a kernel and loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pybpf.asm import AsmError, Instruction, assemble, bind, disassemble, encode
from pybpf.btf import FuncInfo, LineInfo, encode_func_info, encode_line_info
from pybpf.errors import ProgramRejected
from pybpf.kernel.constants import AttachType, ProgramFlag, ProgramType
from pybpf.kernel.prog_ops import prog_load
from pybpf.objfile.core import patch
from pybpf.objfile.core.relocate import POISON
from pybpf.objfile.errors import ObjectError
from pybpf.verifier import VerifierError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pybpf.kernel.fd import OwnedFd
    from pybpf.objfile.functions import Function
    from pybpf.objfile.resolving import Resolver
    from pybpf.objfile.section_names import Hook


@dataclass(frozen=True)
class ObjectProgram:
    """A program before the load: ``functions`` are its own and those it calls, its own first.

    ``replace(program, name=...)`` or ``hook=`` gives another one. Maps, kernel functions and CO-RE relocations are
    unresolved, so it is the same on every kernel.
    """

    name: str
    hook: Hook
    section: str
    license: str
    functions: tuple[Function, ...] = field(repr=False)

    @property
    def type(self) -> ProgramType:
        """The program type that the section's name says."""
        return self.hook.type

    @property
    def attach_type(self) -> AttachType:
        """The expected attach type that the section's name says."""
        return self.hook.attach_type

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All functions one behind the other, unresolved."""
        return tuple(ins for function in self.functions for ins in function.instructions)

    @property
    def relocations(self) -> int:
        """How many CO-RE relocations it has."""
        return sum(len(function.relocations) for function in self.functions)

    def __str__(self) -> str:
        return disassemble(self.instructions)


def link(entry: Function, functions: Mapping[str, Function]) -> tuple[Function, ...]:
    """The function and all it reaches, each once, in the order in which the calls come (as libbpf lays them out)."""
    found: dict[str, Function] = {}
    waiting = [entry.label]
    while waiting:
        label = waiting.pop()
        if label not in found:
            found[label] = functions[label]
            waiting += reversed(found[label].calls)
    return tuple(found.values())


@dataclass(frozen=True)
class _Missing:
    """What a poisoned instruction wanted."""

    slot: int
    question: str


def load_program(spec: ObjectProgram, resolver: Resolver) -> OwnedFd:
    """Resolve the program against this kernel and load it; the caller owns the descriptor.

    Raises:
        VerifierError: the kernel rejected it; names the line of C.
        ObjectError: it asks for what this kernel does not have, or is broken.
        KernelError, PermissionDenied: it did not get that far.
    """
    return _Linked(spec, resolver).load()


class _Linked:
    """A program with every function at its place."""

    def __init__(self, spec: ObjectProgram, resolver: Resolver) -> None:
        self._spec = spec
        self._resolver = resolver
        self._missing: list[_Missing] = []
        functions: list[FuncInfo] = []
        lines: list[LineInfo] = []
        code: list[Instruction] = []
        start = 0
        for function in spec.functions:
            if function.type_id:
                functions.append(FuncInfo(start, function.type_id))
            lines += (line._replace(slot=start + line.slot) for line in function.lines)
            code += self._relocated(function, start)
            start += function.slots
        self._lines = lines
        # the kernel wants all functions or none
        self._functions = functions if len(functions) == len(spec.functions) else []
        try:
            bound = bind(code, resolver.number)
            self.instructions: Sequence[Instruction] = assemble(bound)
            self._bytes = encode(self.instructions)
        except AsmError as error:
            raise ObjectError(resolver.path, spec.name, str(error)) from error

    def load(self) -> OwnedFd:
        """Into the kernel."""
        spec, hook, resolver = self._spec, self._spec.hook, self._resolver
        btf_fd = resolver.btf_fd if self._functions else None
        flags = (ProgramFlag.SLEEPABLE if hook.sleepable else 0) | (ProgramFlag.XDP_HAS_FRAGS if hook.fragments else 0)
        try:
            return prog_load(
                spec.type,
                self._bytes,
                license=spec.license,
                name=spec.name,
                expected_attach_type=spec.attach_type,
                btf_fd=btf_fd,
                func_info=encode_func_info(self._functions) if btf_fd else b"",
                line_info=encode_line_info(self._lines) if btf_fd else b"",
                flags=flags,
                attach_btf_id=resolver.attach_id(hook, spec.name),
            )
        except ProgramRejected as rejection:
            raise self._explained(VerifierError.from_rejection(rejection, spec.name, self.instructions)) from None

    def _relocated(self, function: Function, start: int) -> list[Instruction]:
        """The function's instructions with the answers to its CO-RE relocations."""
        questions = {relocation.slot: relocation for relocation in function.relocations}
        code: list[Instruction] = []
        slot = 0
        for ins in function.instructions:
            relocation = questions.get(slot)
            ins = self._resolver.extern(ins)
            if relocation is None:
                code.append(ins)
            else:
                outcome = self._resolver.core(relocation, function.name)
                patched = self._resolver.guard(function.name, patch, ins, outcome)
                if patched[0].imm == POISON and patched[0].is_call:
                    self._missing.append(_Missing(start + slot, outcome.question))
                code += patched
            slot += ins.slots
        return code

    def _explained(self, error: VerifierError) -> VerifierError:
        """The verifier's words about a poisoned instruction say nothing; what was asked of the kernel does."""
        if str(POISON) not in error.reason:
            return error
        for missing in self._missing:
            if missing.slot == error.instruction:
                error.reason = f"this kernel has no answer to the CO-RE relocation {missing.question}"
                error.advice = "guard the access with bpf_core_field_exists() or its like"
        return error

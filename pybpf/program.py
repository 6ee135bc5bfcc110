"""Programs ready to load, and their way into the kernel."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pybpf.asm import Instruction, MapReference, MapValueReference, bind, disassemble, encode
from pybpf.btf import BtfBuilder, KernelBtf, Kind, encode_func_info, line_info_of
from pybpf.errors import KernelError, ProgramRejected
from pybpf.kernel.constants import AttachType, ProgramType
from pybpf.kernel.prog_ops import btf_load, prog_load
from pybpf.verifier import VerifierError

if TYPE_CHECKING:
    from pybpf.asm import Reference
    from pybpf.kernel.fd import OwnedFd
    from pybpf.maps import Map


@dataclass(frozen=True)
class ProgramSpec:
    """A program in instructions, not yet loaded: the same on every host.

    Maps and kernel functions are still names. ``license`` must be GPL-compatible for most tracing helpers.
    """

    name: str
    type: ProgramType
    instructions: tuple[Instruction, ...]
    attach_type: AttachType = AttachType.NONE
    license: str = "GPL"

    def __str__(self) -> str:
        return disassemble(self.instructions)

    def load(self, maps: Mapping[str, Map]) -> OwnedFd:
        """Hand the program to the kernel; the caller owns the descriptor.

        Line info goes along where the kernel takes BTF (4.20), so that its messages name Python lines; without BTF the
        program loads all the same.

        Raises:
            VerifierError: the kernel rejected it; names the Python line.
            KernelError, PermissionDenied: it did not get that far.
        """
        bound = bind(self.instructions, functools.partial(_resolve, maps))
        btf_fd, func_info, line_info = self._debug_info()
        try:
            return prog_load(
                self.type,
                encode(bound),
                license=self.license,
                name=self.name,
                expected_attach_type=self.attach_type,
                btf_fd=btf_fd,
                func_info=func_info,
                line_info=line_info,
            )
        except ProgramRejected as rejection:
            raise VerifierError.from_rejection(rejection, self.name, self.instructions) from None
        finally:
            if btf_fd is not None:
                btf_fd.close()

    def _debug_info(self) -> tuple[OwnedFd | None, bytes, bytes]:
        builder = BtfBuilder()
        proto = builder.func_proto(builder.int_("int", 4, signed=True), [("ctx", builder.ptr())])
        func = builder.func(self.name, proto)
        lines = line_info_of(builder, self.instructions)
        try:
            return btf_load(builder.to_bytes()), encode_func_info([(0, func)]), lines
        except KernelError:
            return None, b"", b""


@dataclass(frozen=True)
class KernelFunction:
    """A kernel function that programs call: its id in the kernel's BTF and how many parameters it has."""

    btf_id: int
    parameters: int


@functools.cache
def kernel_function(name: str) -> KernelFunction:
    """A kfunc of the running kernel. Its BTF, some 10 MB with the index, is read for the answer and let go.

    Raises:
        TypeNotFound: the kernel has no such function.
        UnsupportedFeature: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF, 5.4).
    """
    btf = KernelBtf.load()
    return KernelFunction(btf.require(name, Kind.FUNC), len(btf.func_proto(name).params))


def _resolve(maps: Mapping[str, Map], reference: Reference) -> int | tuple[int, int]:
    if isinstance(reference, (MapReference, MapValueReference)):
        return maps[reference.name].fileno()
    return kernel_function(reference.name).btf_id

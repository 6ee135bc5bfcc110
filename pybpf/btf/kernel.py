"""The running kernel's own BTF: its types, its functions and their prototypes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pybpf.btf.reader import Btf
from pybpf.errors import UnsupportedFeature

if TYPE_CHECKING:
    import os

VMLINUX = "/sys/kernel/btf/vmlinux"


class KernelBtf(Btf):
    """The BTF of the kernel (Linux 5.4) or of one of its modules (5.11)."""

    @classmethod
    def load(cls, path: str | os.PathLike[str] = VMLINUX, base: Btf | None = None) -> KernelBtf:
        """Read it; a module's (``/sys/kernel/btf/NAME``) with the kernel's as ``base``.

        About 5 MB, indexed at the first question; keep the object as long as there are questions, and no longer.

        Raises:
            UnsupportedFeature: the kernel was built without it.
            BtfError: it is broken.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise UnsupportedFeature("BTF of the kernel", "5.4", (f"read {path}: {error.strerror}",)) from error
        return cls(data, base, Path(path).name)

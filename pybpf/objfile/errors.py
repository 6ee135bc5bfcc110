"""What can go wrong with an object file that is sound as ELF."""

from __future__ import annotations

from pybpf.errors import PybpfError


class ObjectError(PybpfError):
    """An object file asks for something that is broken, or that this loader cannot give.

    Attributes: ``path``; ``where`` (the section, map or program it is about, may be empty); ``reason``.
    """

    def __init__(self, path: str, where: str, reason: str) -> None:
        self.path = path
        self.where = where
        self.reason = reason
        super().__init__(path, where, reason)

    def __str__(self) -> str:
        return f"{self.path}: {self.where}: {self.reason}" if self.where else f"{self.path}: {self.reason}"

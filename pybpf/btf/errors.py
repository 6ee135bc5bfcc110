"""What can go wrong with type information."""

from __future__ import annotations

from pybpf.errors import PybpfError


class BtfError(PybpfError):
    """BTF that is broken, or that cannot be written.

    Attributes: ``reason``; ``type_id`` (the type it is about, None when it is about none in particular).
    """

    def __init__(self, reason: str, type_id: int | None = None) -> None:
        self.reason = reason
        self.type_id = type_id
        super().__init__(reason, type_id)

    def __str__(self) -> str:
        return self.reason if self.type_id is None else f"BTF type {self.type_id}: {self.reason}"


class TypeNotFound(PybpfError):
    """No type of this name and kind is in the BTF at hand. Attributes: ``name``, ``kind`` (a word), ``where``."""

    def __init__(self, name: str, kind: str, where: str) -> None:
        self.name = name
        self.kind = kind
        self.where = where
        super().__init__(name, kind, where)

    def __str__(self) -> str:
        return f"{self.where} has no {self.kind} named {self.name}"

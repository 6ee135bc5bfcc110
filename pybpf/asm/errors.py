"""What can go wrong between an instruction and its bytes."""

from __future__ import annotations

from pybpf.errors import PybpfError


class AsmError(PybpfError):
    """An instruction that does not exist, whose operands do not fit, or whose label is unknown.

    Attributes: ``reason``, ``index`` (of the instruction in its sequence; None while it stands alone).
    """

    def __init__(self, reason: str, index: int | None = None) -> None:
        self.reason = reason
        self.index = index
        super().__init__(reason, index)

    def __str__(self) -> str:
        return self.reason if self.index is None else f"instruction {self.index}: {self.reason}"

"""What the compiler says of a program that it cannot compile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybpf.errors import PybpfError

if TYPE_CHECKING:
    from pybpf.asm import SourceLine


class CompileError(PybpfError):
    """A program is not in the language.

    ``message`` says what is wrong, ``hint`` what to write instead, ``source`` where; ``str()`` shows all three with a
    caret under the place.
    """

    def __init__(self, message: str, source: SourceLine | None = None, hint: str | None = None) -> None:
        self.message = message
        self.source = source
        self.hint = hint
        super().__init__(self._render())

    def _render(self) -> str:
        if self.source is None:
            return self.message + (f"\nhint: {self.hint}" if self.hint else "")
        text = self.source.text
        indent = len(text) - len(text.lstrip())
        lines = [
            f"{self.source.file}:{self.source.line}:{self.source.column + 1}: {self.message}",
            f"    {text.strip()}",
            f"    {' ' * max(0, self.source.column - indent)}^",
        ]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class CompilerDefect(CompileError):
    """The compiler itself failed here: the program may be right. Please report it with the function."""

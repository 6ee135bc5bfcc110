"""The commands that a page of docs/ shows, and what it says they print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One line of a ``sh`` block; ``output`` is the ``text`` block right after it, None when there is none."""

    line: str
    output: str | None

    @property
    def privileged(self) -> bool:
        return self.line.startswith("sudo ")

    @property
    def words(self) -> list[str]:
        return self.line.removeprefix("sudo ").split()


def commands_of(page: str) -> list[Command]:
    """Every command of the page at ``page`` (from the root of the repository), in order."""
    found: list[Command] = []
    blocks = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    for index, (kind, body) in enumerate(blocks):
        if kind != "sh":
            continue
        lines = body.strip().splitlines()
        following = blocks[index + 1] if index + 1 < len(blocks) else ("", "")
        for line in lines:
            said = following[1] if following[0] == "text" and line == lines[-1] else None
            found.append(Command(line, said))
    return found


def code_of(page: str) -> list[str]:
    """Every ``python`` block of a page, in order."""
    return [body for kind, body in _BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if kind == "python"]

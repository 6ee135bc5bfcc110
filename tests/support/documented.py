"""The pages of docs/, taken apart: their fenced blocks, the commands in them and what they print, their links.

Blocks are of these languages: ``sh`` holds commands, ``python`` and ``c`` programs or pieces of one, ``json`` and
``ini`` whole texts, ``text`` what a run printed. A command that is to fail says how: ``# exit code 1``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = frozenset({"sh", "python", "json", "ini", "c", "text"})

_EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")
_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Command:
    """One command line; ``output`` is the ``text`` block right after it, None when there is none.

    ``place`` is its page and line, ``exit_code`` what it shall end with.
    """

    line: str
    output: str | None
    place: str = ""
    exit_code: int = 0

    @property
    def privileged(self) -> bool:
        """Whether it is typed with sudo."""
        return self.line.startswith("sudo ")

    @property
    def words(self) -> list[str]:
        """The words of a simple command, without sudo."""
        return self.line.removeprefix("sudo ").split()

    def programs(self) -> list[list[str]]:
        """The words of each program in it, as the shell splits them: those of a pipe or a sequence are apart."""
        found: list[list[str]] = [[]]
        lexer = shlex.shlex(self.line, posix=True, punctuation_chars="|&;>")
        lexer.whitespace_split = True
        for word in lexer:
            if set(word) <= set("|&;"):
                found.append([])
            else:
                found[-1].append(word)
        return found


@dataclass(frozen=True)
class Block:
    """A fenced block: its page (from the root of the repository), the line of its first line of text, its text."""

    page: str
    line: int
    language: str
    text: str
    following: str | None
    """The text of the ``text`` block that comes next, None when something else does."""

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page}:{self.line}"

    def commands(self) -> Iterator[Command]:
        """The commands of a block of ``sh``; a line may end in a backslash and go on in the next."""
        found: list[tuple[int, str]] = []
        joined = ""
        for number, text in enumerate(self.text.splitlines(), self.line):
            joined += text.removesuffix("\\")
            if not text.endswith("\\"):
                found.append((number, joined))
                joined = ""
        found = [(number, text) for number, text in found if text.strip() and not text.startswith("#")]
        for index, (number, text) in enumerate(found):
            code = _EXIT_CODE.search(text)
            output = self.following if index == len(found) - 1 else None
            yield Command(text, output, f"{self.page}:{number}", int(code[1]) if code else 0)


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of the page at ``page`` (from the root of the repository), in order."""
    text = _text(page)
    found = list(_FENCE.finditer(text))
    following = [other[2] if other[1] == "text" else None for other in found[1:]]
    return [
        Block(page, text[: one.start(2)].count("\n") + 1, one[1], one[2], after)
        for one, after in zip(found, [*following, None])
    ]


def commands_of(page: str) -> list[Command]:
    """Every command of a page, in order."""
    return [command for block in blocks_of(page) if block.language == "sh" for command in block.commands()]


def code_of(page: str) -> list[str]:
    """Every ``python`` block of a page, in order."""
    return [block.text for block in blocks_of(page) if block.language == "python"]


def links_of(page: str) -> list[str]:
    """Where the links of a page lead, as written; what stands in blocks does not count."""
    return _LINK.findall(_FENCE.sub("", _text(page)))


def anchors_of(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", _text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))

"""What can be checked of the pages without running them: every command line, link, program and field name in them."""

from __future__ import annotations

import ast
import configparser
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from epicsmon.cli import app
from tests.support.documented import LANGUAGES, PAGES, ROOT, Block, Command, anchors_of, blocks_of, links_of
from tests.support.events import chain, gap, ioc_event, put, span

each_page = pytest.mark.parametrize("page", PAGES)
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def all_blocks(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and not has_own_tests(block.page)]


def has_own_tests(page: str) -> bool:
    """The pages of pybpf's parts have tests beside those of the parts: their programs come in pieces."""
    return page.startswith("docs/pybpf/") and page != "docs/pybpf/tutorial.md"


def commands() -> Iterator[Command]:
    for block in all_blocks("sh"):
        yield from block.commands()


def runs_of(program: str) -> list[tuple[Command, list[str]]]:
    return [
        (command, words[words.index(program) + 1 :])
        for command in commands()
        for words in command.programs()
        if program in words
    ]


def test_there_are_pages() -> None:
    assert {"README.md", "docs/install.md", "docs/puts.md", "docs/trace.md", "docs/pybpf/tutorial.md"} <= set(PAGES)


@each_page
def test_every_page_is_linked_from_the_readme(page: str) -> None:
    linked = links_of("README.md")
    assert page == "README.md" or page in linked or f"{Path(page).parent}/" in linked


@each_page
def test_links_lead_somewhere(page: str) -> None:
    for link in links_of(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors_of(str(target.relative_to(ROOT))), f"{page}: {link}"


@each_page
def test_blocks_are_of_known_languages_and_fit_the_page(page: str) -> None:
    found = blocks_of(page)
    assert len(found) * 2 == (ROOT / page).read_text().count("\n```"), "a fence that is not closed, or indented"
    for block in found:
        assert block.language in LANGUAGES, block.place
        for number, line in enumerate(block.text.splitlines(), block.line):
            assert len(line) <= (130 if block.language == "text" else 120), f"{page}:{number}"


def test_command_lines_of_epicsmon_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    runs = runs_of("epicsmon")
    assert len(runs) > 20
    for command, arguments in runs:
        if "--help" in arguments or "--version" in arguments:
            continue
        try:
            app.parse(without_redirections(arguments))
        except SystemExit:
            assert command.exit_code == 2, f"{command.place}: {command.line}\n{capsys.readouterr().err}"
        else:
            assert command.exit_code != 2, command.place


def without_redirections(words: list[str]) -> list[str]:
    end = next((index for index, word in enumerate(words) if word in (">", ">>", "2>")), len(words))
    return words[:end]


def test_every_command_is_shown() -> None:
    shown = {arguments[0] for _, arguments in runs_of("epicsmon") if arguments}
    assert {"puts", "trace", "iocs", "doctor", "demo"} <= shown


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    runs = runs_of("make")
    assert runs
    for command, arguments in runs:
        assert arguments[0] in targets, command.place


@pytest.mark.parametrize("block", all_blocks("python"), ids=lambda block: block.place)
def test_programs_are_whole(block: Block) -> None:
    tree = ast.parse(block.text, block.place)
    assert any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree.body), "a reader could not run it"


EVENTS: dict[str, dict[str, Any]] = {
    event["event"]: event
    for event in (put().to_json(), gap().to_json(), ioc_event().to_json(), chain().to_json(), span(1).to_json())
}


@pytest.mark.parametrize("block", all_blocks("json"), ids=lambda block: block.place)
def test_json_has_the_fields_that_are_written(block: Block) -> None:
    shown = json.loads(block.text)
    assert list(shown) == list(EVENTS[shown["event"]])


@pytest.mark.parametrize(("page", "event"), [("puts.md", "put"), ("puts.md", "gap"), ("trace.md", "span")])
def test_tables_of_fields_name_every_field(page: str, event: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(re.findall(r"^\| (.*?) \|", text, re.MULTILINE))))
    assert set(EVENTS[event]) - {"event"} <= named


def test_units_of_systemd_start_what_there_is() -> None:
    units = all_blocks("ini")
    assert units
    for block in units:
        unit = configparser.ConfigParser(strict=False)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(block.text)
        program, *arguments = unit["Service"]["ExecStart"].split()
        assert program.endswith("/epicsmon")
        assert app.parse(arguments).run


TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"


def documented_messages() -> list[str]:
    """The messages of the troubleshooting page: its headings in code style, without what stands for a value."""
    return re.findall(r"^#+ `(.+)`$", TROUBLESHOOTING.read_text(), re.MULTILINE)


def texts_of_the_code() -> list[str]:
    sources = [path for folder in ("src/epicsmon", "pybpf") for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for path in sources for node in ast.walk(ast.parse(path.read_text()))]
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_messages_that_are_explained_are_those_of_the_code() -> None:
    texts = texts_of_the_code()
    messages = documented_messages()
    assert len(messages) > 20
    unknown = []
    for message in messages:
        parts = [part.strip(" ;:,()'\"") for part in re.split(r"\.\.\.|\bN\b|[()]|: ", message)]
        known = [part for part in parts if len(part) > 3]
        assert known, message
        unknown += [f"{message!r}: {part!r}" for part in known if not any(part in text for text in texts)]
    assert unknown == [], "the code says this nowhere"

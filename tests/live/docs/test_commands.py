"""Every command and every program on the pages does what the page says, typed by somebody who reads it as root."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from epicsmon.demo.system import DemoSystem
from tests.support import zipkin as zipkin_support
from tests.support.documented import PAGES, ROOT, Block, blocks_of
from tests.support.fixtures import require
from tests.support.netns import NetworkNamespace
from tests.support.reader import Reader, demo_beside, reader_beside
from tests.support.zipkin import ZipkinServer

pytestmark = pytest.mark.needs("epics", "uprobes", "netns", "jq")

# What a page tells to type that this test runs in another way.
ELSEWHERE = {
    "make": "tests/unit/docs looks for the target; make demo is what tests/live/demo does",
    "epicsmon demo": "the demo runs beside the reader all the while; tests/live/demo looks at what it shows",
    "pip install": "test_installing",
    "mvn": "test_the_zipkin_server_is_the_one_on_the_page",
    "java": "test_the_zipkin_server_is_the_one_on_the_page",
}
INSTALL = "docs/install.md"
TRACE = "docs/trace.md"
TUTORIAL = "docs/pybpf/tutorial.md"
# The other pages of docs/pybpf have tests of their own.
BESIDE_THE_DEMO = [page for page in PAGES if not page.startswith("docs/pybpf") and page not in (INSTALL, TRACE)]


def read(page: str, reader: Reader) -> int:
    """Read a page; returns how much there was to type."""
    typed = 0
    for block in blocks_of(page):
        if block.language == "python":
            reader.read(block)
            typed += 1
        elif block.language == "sh":
            for command in block.commands():
                if not any(command.line.startswith(name) for name in ELSEWHERE):
                    reader.type(command)
                    typed += 1
    return typed


@pytest.fixture
def demo(netns: NetworkNamespace, tmp_path: Path) -> Iterator[DemoSystem]:
    with demo_beside(tmp_path) as system:
        yield system


@pytest.mark.parametrize("page", [*BESIDE_THE_DEMO, TUTORIAL])
def test_a_page(page: str, demo: DemoSystem, tmp_path: Path) -> None:
    read(page, reader_beside(demo, tmp_path / "reader"))


def test_the_page_of_trace_with_a_zipkin_server(zipkin: ZipkinServer, tmp_path: Path) -> None:
    with zipkin.entered(), demo_beside(tmp_path) as system:
        reader = reader_beside(system, tmp_path / "reader", **{"http://localhost:9411": zipkin.url})
        assert read(TRACE, reader) > 5
        services = zipkin.get("services")
    assert "demo" in services


def test_the_zipkin_server_is_the_one_on_the_page() -> None:
    text = (ROOT / TRACE).read_text()
    jar = f"zipkin-server-{zipkin_support.VERSION}-exec.jar"
    assert f"-Dartifact=io.zipkin:zipkin-server:{zipkin_support.VERSION}:jar:exec" in text
    assert f"java -jar {jar}" in text
    require("zipkin")
    assert zipkin_support.server_jar().name == jar


def test_installing(tmp_path: Path) -> None:
    """The page from a virtual environment to doctor; the extras too, with what is installed here already."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".build", "demo-out", ".*_cache"))
    reader = Reader(tree, {"/opt/epicsmon": str(tmp_path / "opt"), "python3 ": f"{sys.executable} "})
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", tmp_path, "pyelftools"],
        capture_output=True,
        check=False,
    )
    if pip.returncode != 0:
        pytest.skip("needs a package index: pip download pyelftools failed")
    assert read(INSTALL, reader) == 6


def shape(text: str) -> list[str]:
    """Output without what differs from run to run: numbers, folders, the name of the program."""
    return [re.sub(r"\d+(\.\d+)?", "N", re.sub(r"[\w/.-]*\.(py|so)[\w.]*", "FILE", line)) for line in text.splitlines()]


@pytest.mark.parametrize(
    "block",
    [block for block in blocks_of(TUTORIAL) if block.language == "python" and block.following is not None],
    ids=lambda block: block.place,
)
def test_programs_of_the_tutorial_print_what_stands_there(
    block: Block, netns: NetworkNamespace, tmp_path: Path
) -> None:
    reader = Reader(tmp_path)
    reader.read(block)
    assert shape(reader.said) == shape(block.following or "")

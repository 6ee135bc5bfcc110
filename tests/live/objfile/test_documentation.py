"""docs/pybpf/objects.md: its snippets, in their order."""

from __future__ import annotations

import pytest

from tests.support.documented import ROOT, code_of
from tests.support.snippets import module_of


def test_the_snippets_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # the page names files from there
    snippets = code_of("docs/pybpf/objects.md")
    assert len(snippets) == 3
    # Programs are compiled from their source, which has to be one text for that.
    with module_of("\n".join(snippets)) as module:
        assert list(module.again.programs) == ["count"]

"""The snippets of docs/pybpf/maps.md, in their order, as a reader would type them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pybpf import maps
from pybpf.kernel.pin_ops import bpf_file_systems
from tests.support.documented import ROOT, code_of

PAGE = "docs/pybpf/maps.md"


def test_the_snippets_run() -> None:
    if Path("/sys/fs/bpf") not in bpf_file_systems():
        pytest.skip("needs a BPF file system: mount -t bpf bpf /sys/fs/bpf")
    namespace: dict[str, Any] = {"__name__": __name__}
    snippets = code_of(PAGE)
    assert len(snippets) == 7
    for snippet in snippets:
        exec(compile(snippet, PAGE, "exec"), namespace)


def test_the_table_has_every_kind_and_the_kernel_that_brought_it() -> None:
    rows = re.findall(r"^\| (`.*?) \| ([\d., ]+) \|", (ROOT / PAGE).read_text(encoding="utf-8"), re.MULTILINE)
    told: dict[str, str] = {}
    for names, versions in rows:
        classes, since = re.findall(r"`(\w+)`", names), versions.split(", ")
        told.update(zip(classes, since if len(since) == len(classes) else since * len(classes)))
    kinds = {
        name: kind.map_type.since
        for name, kind in vars(maps).items()
        if isinstance(kind, type) and issubclass(kind, maps.Map) and hasattr(kind, "map_type")
    }
    assert told == {**kinds, "MappedArray": "5.5"}

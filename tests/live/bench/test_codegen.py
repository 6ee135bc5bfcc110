"""The programs that our compiler is measured by: the kernel accepts them, and they are about as short as clang's."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.codegen.__main__ import clangs, ours
from bench.codegen.programs import Programs


def test_the_kernel_accepts_every_program() -> None:
    with Programs().load() as loaded:
        assert loaded.checksum.test_run(bytes(64)).return_value == 0
        assert len(ours()) >= 12


@pytest.mark.needs("clang")
def test_they_are_at_most_a_quarter_longer_than_clangs(tmp_path: Path) -> None:
    mine, theirs = ours(), clangs(tmp_path)
    assert mine.keys() == theirs.keys()
    mean = math.exp(sum(math.log(count / theirs[name]) for name, count in mine.items()) / len(mine))
    assert mean <= 1.25

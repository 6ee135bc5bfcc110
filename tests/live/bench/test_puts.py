"""The benchmark of the put log counts what comes out against what was put, and says when they differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import puts
from tests.support.netns import NetworkNamespace

pytestmark = pytest.mark.needs("netns", "epics")
ANYWHERE = (None, None)


def test_a_steady_rate_comes_out_whole(netns: NetworkNamespace, tmp_path: Path) -> None:
    figure = puts.steady(tmp_path, "puts", 500, 1.0, 5, ANYWHERE)
    assert figure.whole
    assert 300 < figure.puts <= 500
    assert 0 < figure.p50_ms <= figure.p99_ms
    assert figure.notes["account"] == [f"epicsmon: puts: {figure.puts} seen, {figure.puts} delivered, 0 lost"]


def test_updates_beside_a_put_a_second(netns: NetworkNamespace, tmp_path: Path) -> None:
    figure = puts.steady(tmp_path, "updates", 2_000, 1.5, 10, ANYWHERE)
    assert figure.whole
    assert figure.puts == 2
    assert 1_000 < int(str(figure.notes["updates a second"])) <= 2_000


def test_a_put_that_is_missing_shows(netns: NetworkNamespace, tmp_path: Path) -> None:
    figure = puts.burst(tmp_path, 300, ANYWHERE)
    assert figure.whole
    assert not replace(figure, delivered=299).whole
    assert not replace(figure, in_order=False).whole
    (row,) = puts.as_json([replace(figure, delivered=299)])
    assert "not every put came out" in puts.table([row])

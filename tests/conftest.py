"""What every test gets: skips with reasons, a check for leaked descriptors, and the live fixtures of tests/support."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.fd_leaks import leaked_since, open_descriptors
from tests.support.requirements import CHECKS, missing

pytest_plugins = ["tests.support.fixtures"]

LIVE = Path(__file__).parent / "live"
missing_once = lru_cache(maxsize=None)(missing)


# On CI property tests take the same examples each time, so that its verdict is about the change; elsewhere they roam.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark live tests; keep those that share a costly server on one worker of pytest-xdist."""
    for item in items:
        if LIVE in item.path.parents:
            item.add_marker("live")
            item.add_marker(pytest.mark.needs("root", "bpf"))
        if "zipkin" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("zipkin"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs this machine does not meet, saying which."""
    # The closest marker comes first; the outermost need (root) is the better explanation.
    for marker in reversed(list(item.iter_markers("needs"))):
        for name in marker.args:
            if name not in CHECKS:
                raise pytest.UsageError(f"{item.nodeid} needs {name!r}; known are {', '.join(CHECKS)}")
            reason = missing_once(name)
            if reason is not None:
                pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_leaked_descriptors() -> Iterator[None]:
    before = open_descriptors()
    yield
    leaked = leaked_since(before)
    assert not leaked, f"the test left descriptors open: {leaked}"

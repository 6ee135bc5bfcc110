from __future__ import annotations

import errno
import resource
from collections.abc import Iterator

import pytest

from pybpf.kernel.memlock import with_memlock


@pytest.fixture
def low_limit() -> Iterator[int]:
    """A soft limit below the hard one, put back afterwards."""
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    soft = 64 << 10
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, before[1]))
    yield soft
    resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def test_a_call_that_works_is_made_once_and_leaves_the_limit(low_limit: int) -> None:
    calls: list[int] = []
    assert with_memlock(lambda: calls.append(1) or 7) == 7  # type: ignore[func-returns-value]
    assert len(calls) == 1
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == low_limit


def test_a_call_that_needs_memory_finds_a_higher_limit_the_second_time(low_limit: int) -> None:
    def call() -> int:
        soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        return -errno.EPERM if soft == low_limit else 3

    assert with_memlock(call) == 3
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != low_limit


def test_a_refusal_for_another_reason_puts_the_limit_back(low_limit: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    assert with_memlock(lambda: -errno.EPERM) == -errno.EPERM
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == before


def test_another_error_is_not_tried_again() -> None:
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        return -errno.EINVAL

    assert with_memlock(call) == -errno.EINVAL
    assert len(calls) == 1

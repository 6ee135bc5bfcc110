from __future__ import annotations

import gc
import os
import warnings

import pytest

from pybpf.kernel.fd import FdClosed, OwnedFd


def new_fd() -> int:
    return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_leaving_the_context_closes_it() -> None:
    number = new_fd()
    with OwnedFd(number, "null") as owned:
        assert owned.fileno() == number
        assert is_open(number)
    assert not is_open(number)
    assert owned.closed


def test_a_second_close_does_not_close_a_number_that_was_given_out_again() -> None:
    number = new_fd()
    owned = OwnedFd(number, "null")
    owned.close()
    other = new_fd()
    assert other == number, "the kernel gives out the lowest free number"
    owned.close()
    assert is_open(other)
    os.close(other)


def test_using_it_after_close_says_what_is_closed() -> None:
    owned = OwnedFd(new_fd(), "map calls")
    owned.close()
    with pytest.raises(FdClosed, match="map calls is closed") as caught:
        owned.fileno()
    assert caught.value.what == "map calls"


def test_a_forgotten_one_warns_and_closes() -> None:
    number = new_fd()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        OwnedFd(number, "map calls")
        gc.collect()
    assert any(issubclass(w.category, ResourceWarning) and "map calls" in str(w.message) for w in caught)
    assert not is_open(number)


def test_detach_gives_the_ownership_away() -> None:
    owned = OwnedFd(new_fd(), "null")
    number = owned.detach()
    owned.close()
    assert is_open(number)
    os.close(number)

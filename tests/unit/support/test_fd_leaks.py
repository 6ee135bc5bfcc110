"""The check that fails a test for a leaked descriptor sees each kind of leak, and nothing else."""

from __future__ import annotations

import os
import socket

import pytest

from tests.support.fd_leaks import leaked_since, open_descriptors


@pytest.mark.parametrize("make", [os.pipe, lambda: os.memfd_create("test"), lambda: socket.socket().detach()])
def test_an_open_descriptor_is_a_leak_until_it_is_closed(make):
    before = open_descriptors()
    make()
    leaked = leaked_since(before)
    assert leaked
    for fd in leaked:
        os.close(fd)
    assert leaked_since(before) == {}


def test_another_file_under_a_known_number_is_a_leak(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.touch()
    two.touch()
    fd = os.open(one, os.O_RDONLY)
    before = open_descriptors()
    other = os.open(two, os.O_RDONLY)
    os.dup2(other, fd)
    os.close(other)
    assert leaked_since(before) == {fd: str(two)}
    os.close(fd)


def test_a_file_deleted_by_another_is_no_leak(tmp_path):
    path = tmp_path / "file"
    with path.open("w"):
        before = open_descriptors()
        path.unlink()
        assert leaked_since(before) == {}

"""A folder of its own on the BPF file system."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BPFFS = Path("/sys/fs/bpf")


@contextmanager
def pin_folder() -> Iterator[Path]:
    """Give the folder; at the end all that is pinned in it goes. Skips the test where there is no such file system."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="pybpf-test-", dir=BPFFS))
    except OSError as error:
        pytest.skip(f"needs the BPF file system at {BPFFS}: {error.strerror}")
    try:
        yield folder
    finally:
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
        folder.rmdir()

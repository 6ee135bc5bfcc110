"""Where pins may live, and what an error says when there is no such place."""

from __future__ import annotations

from pathlib import Path

from pybpf.kernel.pin_ops import bpf_file_systems

MOUNTS = """\
proc /proc proc rw,nosuid 0 0
bpf /sys/fs/bpf bpf rw,nosuid,mode=700 0 0
none /run/my\\040bpf bpf rw 0 0
broken
"""


def test_bpf_file_systems_are_found_among_the_mounts() -> None:
    assert bpf_file_systems(MOUNTS) == (Path("/sys/fs/bpf"), Path("/run/my bpf"))
    assert bpf_file_systems("") == ()

from __future__ import annotations

from pathlib import Path

import pytest

import pybpf.kernel
from pybpf.kernel._ffi import ffi
from pybpf.kernel.ffi_build import generate

# Offsets within the kernel's structures (include/uapi/linux/bpf.h, perf_event.h), read off bpftool's dump of 6.18.
OFFSETS = [
    ("struct map_create", "map_name", 28),
    ("struct map_create", "btf_fd", 48),
    ("struct map_create", "map_extra", 64),
    ("struct map_create", "map_token_fd", 76),
    ("struct map_elem", "key", 8),
    ("struct map_elem", "flags", 24),
    ("struct map_batch", "count", 32),
    ("struct map_batch", "flags", 48),
    ("struct prog_load", "log_buf", 32),
    ("struct prog_load", "prog_name", 48),
    ("struct prog_load", "expected_attach_type", 68),
    ("struct prog_load", "func_info", 80),
    ("struct prog_load", "line_info", 96),
    ("struct prog_load", "fd_array", 120),
    ("struct prog_load", "log_true_size", 140),
    ("struct btf_load", "btf_log_true_size", 28),
    ("struct btf_load", "btf_token_fd", 36),
    ("struct prog_load", "prog_token_fd", 144),
    ("struct prog_test_run", "data_in", 16),
    ("struct prog_test_run", "ctx_in", 48),
    ("struct raw_tracepoint_open", "cookie", 16),
    ("struct link_create_perf_event", "bpf_cookie", 16),
    ("struct link_create_uprobe_multi", "path", 16),
    ("struct link_create_uprobe_multi", "cnt", 48),
    ("struct link_create_uprobe_multi", "pid", 56),
    ("struct prog_info", "map_ids", 56),
    ("struct prog_info", "btf_id", 128),
    ("struct prog_info", "run_time_ns", 192),
    ("struct prog_info", "verified_insns", 216),
    ("struct map_info", "btf_id", 64),
    ("struct link_info_uprobe_multi", "path_size", 48),
    ("struct perf_event_attr", "config1", 56),
    ("struct perf_event_attr", "config2", 64),
]


def test_the_generated_module_is_what_the_declarations_generate(tmp_path: Path) -> None:
    again = tmp_path / "_ffi.py"
    generate(str(again))
    committed = Path(pybpf.kernel.__path__[0]) / "_ffi.py"
    assert committed.read_text() == again.read_text(), "run: python -m pybpf.kernel.ffi_build"


@pytest.mark.parametrize(("structure", "member", "offset"), OFFSETS)
def test_members_lie_where_the_kernel_looks(structure: str, member: str, offset: int) -> None:
    assert ffi.offsetof(structure, member) == offset


def test_the_perf_attribute_has_a_size_the_kernel_knows() -> None:
    assert ffi.sizeof("struct perf_event_attr") == 112, "PERF_ATTR_SIZE_VER5"

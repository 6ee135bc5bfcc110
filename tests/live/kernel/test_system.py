"""The rest of the door: numbers, features, privilege, namespaces."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from enum import IntEnum

import pytest

from pybpf.errors import PermissionDenied, UnsupportedFeature
from pybpf.kernel import constants, features
from pybpf.kernel.constants import MapType, ProgramType
from pybpf.kernel.map_ops import map_create
from pybpf.kernel.namespace import Namespace, inside, open_namespace
from pybpf.kernel.perf_event import open_uprobe
from pybpf.kernel.process import process_vm_readv
from pybpf.kernel.prog_ops import prog_load
from pybpf.maps import RingBuffer
from tests.support.netns import NetworkNamespace
from tests.support.tiny_programs import return_value

ENUMS = [
    (constants.Command, "BPF_"),
    (constants.MapType, "BPF_MAP_TYPE_"),
    (constants.ProgramType, "BPF_PROG_TYPE_"),
    (constants.AttachType, "BPF_"),
    (constants.LinkType, "BPF_LINK_TYPE_"),
    (constants.PerfType, "PERF_TYPE_"),
    (constants.PerfSoftware, "PERF_COUNT_SW_"),
    (constants.PerfRecord, "PERF_RECORD_"),
]


@pytest.fixture(scope="module")
def kernel_numbers() -> dict[str, int]:
    dump = subprocess.run(
        ["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux"], capture_output=True, check=True, text=True
    )
    return {name: int(value) for name, value in re.findall(r"^\t'(\w+)' val=(\d+)$", dump.stdout, re.MULTILINE)}


@pytest.mark.needs("bpftool", "btf")
@pytest.mark.parametrize(("enum", "prefix"), ENUMS, ids=[enum.__name__ for enum, _ in ENUMS])
def test_our_numbers_are_the_kernels(enum: type[IntEnum], prefix: str, kernel_numbers: dict[str, int]) -> None:
    ours = {prefix + member.name: int(member) for member in enum}
    ours.pop("BPF_NONE", None)
    known = {name: kernel_numbers[name] for name in ours if name in kernel_numbers}
    assert known == {name: ours[name] for name in known}
    assert len(known) >= len(ours) - 1, f"the kernel knows too few of {sorted(set(ours) - set(known))}"


@pytest.mark.parametrize("feature", features.ALL, ids=lambda feature: feature.name)
def test_a_feature_is_there_or_says_what_was_tried(feature: features.Feature) -> None:
    absent = features.missing(feature)
    assert features.have(feature) is (absent is None)
    if absent is None:
        features.require(feature)
    else:
        with pytest.raises(UnsupportedFeature) as caught:
            features.require(feature)
        assert (caught.value.since, caught.value.tried) == (feature.since, (absent,))


def test_the_probe_for_the_ring_buffer_agrees_with_using_one() -> None:
    try:
        RingBuffer(1 << 16).create().close()
    except Exception:  # noqa: BLE001 - any failure at all
        assert not features.have(features.RING_BUFFER)
    else:
        assert features.have(features.RING_BUFFER)


def test_helpers_are_told_from_those_that_do_not_exist() -> None:
    assert features.have_helper(1), "bpf_map_lookup_elem is as old as maps"
    assert not features.have_helper(0xFFFF)
    assert features.have_helper(26, ProgramType.SOCKET_FILTER), "bpf_skb_load_bytes is for packets"
    assert not features.have_helper(26, ProgramType.KPROBE)


def as_nobody(call: Callable[[], object]) -> str:
    """Run ``call`` in a child without any privilege; what it raised, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            try:
                text = repr(call())
            except PermissionDenied as error:
                text = f"PermissionDenied {error.capability}: {error}"
            except BaseException as error:  # noqa: BLE001 - the parent judges it
                text = repr(error)
            os.write(writer, text.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.parametrize(
    ("call", "capability"),
    [
        (lambda: prog_load(ProgramType.KPROBE, return_value()), "CAP_PERFMON"),
        (lambda: map_create(MapType.LRU_HASH, 4, 4, 1), "CAP_BPF"),
        (lambda: process_vm_readv(os.getppid(), [(0, 1)]), "CAP_SYS_PTRACE"),
        (lambda: open_uprobe("/bin/true", 0x1000), "CAP_PERFMON"),
        (lambda: features.have(features.UPROBE_MULTI), "CAP_"),
    ],
    ids=["program", "map", "memory", "uprobe", "feature"],
)
def test_without_privilege_the_error_names_the_capability(call: Callable[[], object], capability: str) -> None:
    features.missing.cache_clear()
    text = as_nobody(call)
    assert text.startswith("PermissionDenied"), text
    assert capability in text


@pytest.mark.needs("netns")
def test_inside_another_network_namespace_and_back() -> None:
    def here() -> int:
        return os.stat("/proc/thread-self/ns/net").st_ino

    home = here()
    with NetworkNamespace() as other:
        with other.entered():
            child = subprocess.Popen(["sleep", "60"])
        try:
            with open_namespace(child.pid, Namespace.NETWORK) as namespace:
                with inside(namespace):
                    assert here() == other.inode
                assert here() == home
                with pytest.raises(RuntimeError, match="within"), inside(namespace):
                    raise RuntimeError("within")
                assert here() == home
        finally:
            child.kill()
            child.wait()

"""Variables that hold the kernel's configuration."""

from __future__ import annotations

import struct

import pytest

from pybpf.objfile import ObjectError, ObjectFile
from pybpf.objfile.kconfig import KconfigVariable, kconfig_contents, kconfig_variables
from tests.support.objects.build import HERE

VARIABLES = (
    KconfigVariable("CONFIG_HZ", 0, 4, "number"),
    KconfigVariable("CONFIG_BPF", 8, 1, "bool"),
    KconfigVariable("CONFIG_EXT4", 16, 4, "tristate"),
    KconfigVariable("CONFIG_NAME", 24, 8, "text"),
    KconfigVariable("CONFIG_GONE", 32, 4, "tristate"),
)
CONFIG = {"CONFIG_HZ": "0x3e8", "CONFIG_BPF": "y", "CONFIG_EXT4": "m", "CONFIG_NAME": '"a longer text"'}


def test_each_kind_of_option_has_its_form() -> None:
    data = kconfig_contents(VARIABLES, frozenset({"CONFIG_GONE"}), "x.o", CONFIG)
    assert struct.unpack("=i4x?7xi4x8si", data) == (1000, True, 2, b"a longe\0", 0)


def test_an_option_that_must_be_known_is_named() -> None:
    with pytest.raises(ObjectError, match=r"x\.o: CONFIG_GONE: the kernel's configuration does not say"):
        kconfig_contents(VARIABLES, frozenset(), "x.o", CONFIG)


@pytest.mark.parametrize(("name", "value"), [("CONFIG_BPF", "m"), ("CONFIG_HZ", "fast"), ("CONFIG_HZ", "99999999999")])
def test_a_value_that_does_not_fit_is_refused(name: str, value: str) -> None:
    with pytest.raises(ObjectError, match=f"{name}: is {value} here"):
        kconfig_contents(VARIABLES, frozenset({"CONFIG_GONE"}), "x.o", {**CONFIG, name: value})


def test_an_object_says_what_it_wants_to_know() -> None:
    file = ObjectFile.open(HERE / "core.bpf.o")
    assert {(v.name, v.size, v.kind) for v in kconfig_variables(file.btf)} == {
        ("LINUX_KERNEL_VERSION", 4, "number"),
        ("CONFIG_HZ", 4, "number"),
        ("CONFIG_BPF_SYSCALL", 1, "bool"),
        ("CONFIG_NO_SUCH_OPTION", 4, "tristate"),
    }
    assert file.maps[".kconfig"].frozen

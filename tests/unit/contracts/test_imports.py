"""Dependencies point one way: the table in tests/support/contracts.py holds for every import statement."""

from __future__ import annotations

import pytest

from tests.support.contracts import ROOT, Import, all_imports, broken, circles, imports_of, is_module


def test_every_import_follows_the_design():
    assert broken(all_imports()) == []


def test_the_check_sees_the_repository():
    rooms = {item.room for item in all_imports()}
    assert {"pybpf.asm", "pybpf.kernel"} <= rooms


@pytest.mark.parametrize(
    ("room", "target"),
    [
        ("pybpf.types", "pybpf.asm"),
        ("pybpf.maps", "pybpf.lang"),
        ("pybpf.lang", "epicsmon.events"),
        ("epicsmon.programs", "epicsmon.events"),
        ("epicsmon.ca", "pybpf.kernel"),
        ("epicsmon.capture", "epicsmon.puts"),
        ("epicsmon.store", "epicsmon.agent"),
        ("epicsmon.web", "pybpf.kernel"),
    ],
)
def test_a_wrong_direction_is_named_with_its_place(room, target):
    (complaint,) = broken([Import(room, target, "some/file.py:7")])
    assert complaint.startswith("some/file.py:7: ")
    assert room in complaint
    assert target in complaint


def test_a_room_nobody_placed_is_an_error():
    assert "epicsmon.attic has no layer" in broken([Import("epicsmon.attic", "epicsmon.events", "x.py:1")])[0]
    assert "pybpf.attic has no layer" in broken([Import("epicsmon.ioc", "pybpf.attic", "x.py:1")])[0]


def test_a_circle_within_a_layer_is_found():
    ring = [
        Import("epicsmon.puts", "epicsmon.sinks", "a.py:1"),
        Import("epicsmon.sinks", "epicsmon.store", "b.py:1"),
        Import("epicsmon.store", "epicsmon.puts", "c.py:1"),
    ]
    assert circles(ring) == [["epicsmon.puts", "epicsmon.sinks", "epicsmon.store", "epicsmon.puts"]]
    assert broken(ring[:2]) == []


def test_imports_are_read_in_every_form():
    source = """
import pybpf.maps.base
from epicsmon import events, text
from . import asm
from ..errors import PybpfError
if TYPE_CHECKING:
    from pybpf.kernel import fd
def late():
    import epicsmon.cli
import os, json
"""
    found = {name for name, _ in imports_of(source, "pybpf.lang.parser")}
    assert found == {
        "pybpf.maps.base",
        "epicsmon.events",
        "epicsmon.text",
        "pybpf.lang",
        "pybpf.errors",
        "pybpf.kernel",
        "epicsmon.cli",
    }


def test_a_re_exported_name_is_no_room():
    assert is_module("pybpf.asm.encode")
    assert is_module("epicsmon.programs")
    assert not is_module("pybpf.BpfObject")


def test_every_package_is_in_the_distribution():
    """setup.py finds packages by their __init__.py: a folder of modules without one would be left out of the wheel."""
    for folder in ("pybpf", "src/epicsmon", "programs"):
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), f"{module.parent} has no __init__.py"

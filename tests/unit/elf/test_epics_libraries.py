"""The planner on the real libdbCore of epicscorelibs: its choices for the functions that are traced."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpf.elf import CostClass, ElfImage, plan_probe

pytestmark = pytest.mark.needs("epics")


@pytest.fixture
def libdbcore() -> Iterator[ElfImage]:
    spec = importlib.util.find_spec("epicscorelibs")
    assert spec is not None
    assert spec.origin is not None
    with ElfImage.open(Path(spec.origin).parent / "lib" / "libdbCore.so") as image:
        yield image


@pytest.mark.parametrize(
    "name",
    ["dbProcess", "dbPut", "dbPutField", "dbProcessNotify", "db_put_process", "camessage", "recGblFwdLink", "dbGet"],
)
def test_functions_that_start_with_a_push_are_cheap_as_they_are(libdbcore: ElfImage, name: str) -> None:
    for needs_return in (True, False):
        site = plan_probe(libdbcore, name, needs_return=needs_return)
        assert (site.skipped, site.cost) == (0, CostClass.EMULATED)
        assert site.instruction.startswith("push ")


def test_scan_once_is_cheap_only_for_a_probe_that_reads_its_one_argument(libdbcore: ElfImage) -> None:
    assert plan_probe(libdbcore, "scanOnce").cost is CostClass.SINGLE_STEPPED
    site = plan_probe(libdbcore, "scanOnce", arguments=1)
    assert (site.skipped, site.cost) == (4, CostClass.EMULATED)
    assert site.instruction.startswith("jmp ")


def test_db_post_events_is_cheap_behind_its_first_load(libdbcore: ElfImage) -> None:
    site = plan_probe(libdbcore, "db_post_events")
    assert (site.skipped, site.cost, site.stack_moved) == (8, CostClass.EMULATED, 0)


def test_wrappers_that_change_their_arguments_first_stay_slow_sites(libdbcore: ElfImage) -> None:
    for name in ("dbChannelPut", "dbChannelPutField"):
        site = plan_probe(libdbcore, name, needs_return=False)
        assert (site.skipped, site.cost, site.instruction) == (0, CostClass.SINGLE_STEPPED, "movswl %si,%esi")


def test_offsets_are_those_of_the_code_in_the_file(libdbcore: ElfImage) -> None:
    for name in ("dbProcess", "scanOnce"):
        site = plan_probe(libdbcore, name, arguments=1)
        assert site.address == libdbcore.symbol(name).address + site.skipped
        assert libdbcore.read_file(site.offset, len(site.code)) == site.code


def test_static_functions_are_named_by_symtab(libdbcore: ElfImage) -> None:
    assert not libdbcore.symbol("write_action").exported
    assert plan_probe(libdbcore, "write_action").address

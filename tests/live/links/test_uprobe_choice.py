"""Which way is chosen when none is forced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pybpf.elf import ElfImage, plan_probe
from pybpf.errors import KernelError
from pybpf.links import ProbeSide, UprobeMethod, attach_uprobe, uprobe_methods
from tests.support.probing import CountingPrograms, ProbedLibrary, needs_x86

pytestmark = [needs_x86, pytest.mark.needs("uprobes")]


@pytest.fixture
def programs() -> Iterator[CountingPrograms]:
    with CountingPrograms() as loaded:
        yield loaded


@pytest.fixture
def library(tmp_path: Path) -> ProbedLibrary:
    return ProbedLibrary(tmp_path / "libprobed.so")


def offset_of(library: ProbedLibrary, name: str) -> int:
    with ElfImage.open(library.path) as image:
        return plan_probe(image, name).offset


def test_the_best_way_of_this_kernel_is_taken(library: ProbedLibrary, programs: CountingPrograms) -> None:
    for side in ProbeSide:
        best = uprobe_methods(side, cookies=True)[0]
        programs.asked.clear()
        with attach_uprobe(programs, library.path, [offset_of(library, "plain")], side=side, cookies=[9]) as link:
            assert link.kind.value == best.value
            assert {method for method, _ in programs.asked} == {best}
            library.call("plain", 1)
        seen = programs.counts()
        assert 9 in (seen.entry_cookie, seen.return_cookie)
        programs.reset()


def test_the_ladder_is_in_order_and_ends_with_the_oldest_way() -> None:
    for side in ProbeSide:
        methods = uprobe_methods(side)
        assert list(methods) == [method for method in UprobeMethod if method in methods]
        assert methods[-1] is UprobeMethod.PERF_IOCTL
        assert (UprobeMethod.SESSION in methods) <= (side is ProbeSide.BOTH)
        assert UprobeMethod.PERF_IOCTL not in uprobe_methods(side, cookies=True)


def test_a_session_for_one_side_is_a_mistake(library: ProbedLibrary, programs: CountingPrograms) -> None:
    with pytest.raises(ValueError, match="entry and return"):
        attach_uprobe(programs, library.path, [0x3000], side=ProbeSide.ENTRY, force=UprobeMethod.SESSION)


def test_what_every_way_refuses_is_the_error_of_the_best(library: ProbedLibrary, programs: CountingPrograms) -> None:
    with pytest.raises(KernelError, match="1 sites of") as caught:
        attach_uprobe(programs, library.path, [1 << 40], side=ProbeSide.BOTH)
    assert caught.value.operation.startswith("create link")
    assert [method for method, _ in programs.asked][-1] is not UprobeMethod.SESSION

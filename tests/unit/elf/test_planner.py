"""Which site the planner chooses, and what it refuses, on code written byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpf.elf import CostClass, ElfImage, ProbeSite, plan_probe
from pybpf.elf.x86 import decode
from pybpf.elf.x86_effects import effects, is_rewritten_nop, refusal
from pybpf.errors import SymbolNotFound, UnsafeProbeSite, UnsupportedFeature
from tests.support.elfwriter import CODE_ADDRESS, CODE_OFFSET, IFUNC, OBJECT, Definition, write_elf

ENDBR = "f3 0f 1e fa "
NOP5 = "0f 1f 44 00 00 "


def plan(
    tmp_path: Path, code: str, *, needs_return: bool = True, arguments: int = 6, kind: int = 2, machine: str = "x86-64"
) -> ProbeSite:
    path = tmp_path / "libx.so"
    path.write_bytes(write_elf([Definition("f", bytes.fromhex(code), kind=kind)], machine=machine))
    with ElfImage.open(path) as image:
        return plan_probe(image, "f", needs_return=needs_return, arguments=arguments)


def test_a_push_at_the_symbol_is_taken_as_it_is(tmp_path: Path) -> None:
    site = plan(tmp_path, "41 57 c3")
    assert site == ProbeSite(
        symbol="f",
        address=CODE_ADDRESS,
        offset=CODE_OFFSET,
        cost=CostClass.EMULATED,
        instruction="push %r15",
        code=b"\x41\x57",
        skipped=0,
        stack_moved=0,
        why="the first instruction is emulated by the kernel",
    )


def test_behind_endbr64_the_push_is_taken_even_for_a_return_probe(tmp_path: Path) -> None:
    site = plan(tmp_path, ENDBR + "55 c3")
    assert (site.skipped, site.offset, site.cost) == (4, CODE_OFFSET + 4, CostClass.EMULATED)
    assert (site.instruction, site.stack_moved) == ("push %rbp", 0)
    assert "stepped out of line; this one is emulated" in site.why


@pytest.mark.parametrize("nop", [NOP5, "66 66 66 66 90", "66 0f 1f 40 00", "e9 00 00 00 00", "48 8d 74 26 00"])
@pytest.mark.parametrize("needs_return", [True, False])
def test_a_five_byte_nop_with_nothing_safe_behind_it_is_refused(tmp_path: Path, nop: str, needs_return: bool) -> None:
    for behind in ("", "f4", NOP5, "f0 ff 07", "06"):
        code = f"{nop} {behind}"
        with pytest.raises(UnsafeProbeSite, match="5-byte nop") as caught:
            plan(tmp_path, code, needs_return=needs_return, arguments=0)
        assert caught.value.symbol == "f"
        assert caught.value.code.startswith(bytes.fromhex(nop))


def test_a_five_byte_nop_is_stepped_over_where_a_safe_site_follows(tmp_path: Path) -> None:
    site = plan(tmp_path, NOP5 + "55 c3")
    assert (site.skipped, site.instruction, site.cost) == (5, "push %rbp", CostClass.EMULATED)
    site = plan(tmp_path, ENDBR + NOP5 + "55 c3")
    assert (site.skipped, site.instruction) == (9, "push %rbp")
    site = plan(tmp_path, NOP5 + "48 83 ec 08 c3")
    assert (site.skipped, site.instruction, site.cost) == (5, "sub $0x8,%rsp", CostClass.SINGLE_STEPPED)
    assert "5-byte nop" in site.why


def test_a_return_probe_stays_before_the_stack_pointer_moves(tmp_path: Path) -> None:
    code = "48 83 ec 08 85 ff 74 02 ff d0 c3"
    with_return = plan(tmp_path, code)
    assert (with_return.skipped, with_return.cost) == (0, CostClass.SINGLE_STEPPED)
    entry_only = plan(tmp_path, code, needs_return=False)
    assert (entry_only.skipped, entry_only.stack_moved, entry_only.instruction) == (6, 8, "je 500a")
    assert entry_only.cost is CostClass.EMULATED


def test_a_probe_stays_before_the_arguments_it_reads_are_lost(tmp_path: Path) -> None:
    scan_once = "31 d2 31 f6 e9 10 00 00 00"  # xor %edx,%edx; xor %esi,%esi; jmp: one argument goes on, two are added
    assert plan(tmp_path, scan_once).skipped == 0
    assert plan(tmp_path, scan_once, arguments=2).skipped == 0
    site = plan(tmp_path, scan_once, arguments=1)
    assert (site.skipped, site.cost, site.instruction) == (4, CostClass.EMULATED, "jmp 5019")
    assert plan(tmp_path, "0f bf f6 48 83 c7 08 e9 10 00 00 00").skipped == 0


def test_a_probe_stays_before_a_write_to_memory(tmp_path: Path) -> None:
    assert plan(tmp_path, "c6 07 01 55 c3", arguments=0).skipped == 0
    assert plan(tmp_path, "8a 07 55 c3").skipped == 2


def test_a_site_that_a_loop_comes_back_to_is_not_taken(tmp_path: Path) -> None:
    # test %edi,%edi; je +3; dec %edi; jmp back to the je (2), to the test (0), and the same without a way back.
    assert plan(tmp_path, "85 ff 74 04 ff cf eb fa c3").skipped == 0
    assert plan(tmp_path, "85 ff 74 04 ff cf eb f8 c3").skipped == 2
    assert plan(tmp_path, "85 ff 74 04 ff cf eb 00 c3").skipped == 2


def test_with_a_jump_table_only_a_prologue_is_taken(tmp_path: Path) -> None:
    assert plan(tmp_path, ENDBR + "55 ff e0").skipped == 4
    assert plan(tmp_path, "85 ff 74 02 ff e0 c3").skipped == 0


def test_what_is_no_function_with_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeProbeSite, match="indirect function"):
        plan(tmp_path, "55 c3", kind=IFUNC)
    with pytest.raises(UnsafeProbeSite, match="not a function"):
        plan(tmp_path, "55 c3", kind=OBJECT)
    with pytest.raises(UnsafeProbeSite, match="unknown"):
        plan(tmp_path, "06 06 06")
    with pytest.raises(UnsafeProbeSite, match="LOCK"):
        plan(tmp_path, "f0 ff 07 c3")
    with pytest.raises(UnsupportedFeature, match="aarch64"):
        plan(tmp_path, "55 c3", machine="aarch64")
    with pytest.raises(SymbolNotFound):
        plan_of_absent(tmp_path)
    with pytest.raises(ValueError, match="six"):
        plan(tmp_path, "55 c3", arguments=7)


def plan_of_absent(tmp_path: Path) -> ProbeSite:
    path = tmp_path / "libx.so"
    path.write_bytes(write_elf([Definition("f")]))
    with ElfImage.open(path) as image:
        return plan_probe(image, "g")


PIECES = [
    ENDBR, NOP5, "90", "55", "41 54", "48 89 fd", "31 c0", "31 ff", "85 ff", "74 02", "eb fe", "48 83 ec 18", "8b 07",
    "c6 07 01", "e8 00 00 00 00", "c3", "ff e0", "66 0f ef c0", "0f bf f6", "48 83 c4 08", "f0 ff 07", "0f 1f 00",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12), st.booleans(), st.integers(0, 6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_chosen_site_ever_breaks_a_rule(
    tmp_path: Path, pieces: list[str], needs_return: bool, arguments: int
) -> None:
    code = bytes.fromhex("".join(pieces))
    try:
        site = plan(tmp_path, code.hex(), needs_return=needs_return, arguments=arguments)
    except UnsafeProbeSite:
        return
    lost: set[int] = set()
    position = stack = 0
    while position < site.skipped:
        passed = decode(code, position)
        assert passed is not None
        change = effects(passed)
        assert change is not None
        lost |= change.written
        stack += change.stack
        position += passed.length
    assert position == site.skipped
    assert site.stack_moved == stack
    assert stack == 0 or not needs_return
    assert not lost & set((7, 6, 2, 1, 8, 9)[:arguments])
    probed = decode(code, position)
    assert probed is not None
    assert probed.code == site.code
    assert not is_rewritten_nop(probed)
    assert refusal(probed) is None

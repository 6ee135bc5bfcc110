"""CO-RE relocations between two sets of types written here: the program's and a kernel's."""

from __future__ import annotations

import sys

import pytest

from pybpf.asm import R1, R2, Instruction, Size, add, load, load_imm64, mov, store
from pybpf.btf import Btf, BtfBuilder, BtfError, Kind, Member
from pybpf.objfile.btf_ext import CoreKind, CoreRelocation
from pybpf.objfile.core import CoreResolver, Outcome, patch
from pybpf.objfile.core.match import essential, types_match
from pybpf.objfile.core.relocate import POISON


class Types:
    """A blob of types that is read when all are written."""

    def __init__(self) -> None:
        self.build = BtfBuilder()
        self.int = self.build.int_("int", 4, signed=True)
        self.u32 = self.build.int_("unsigned int", 4)
        self.u64 = self.build.int_("unsigned long long", 8)

    def struct(self, name: str, size: int, *members: tuple[str, int, int] | tuple[str, int, int, int]) -> int:
        """Members are (name, type, offset in bytes), or (name, type, offset in bits, bits)."""
        placed = [
            Member(m[0], m[1], m[2], m[3]) if len(m) == 4 else Member(m[0], m[1], 8 * m[2])  # type: ignore[misc]
            for m in members
        ]
        return self.build.struct(name, size, placed)

    def read(self) -> Btf:
        return Btf(self.build.to_bytes())


def ask(local: Types, kernel: Types, type_id: int, path: str, kind: CoreKind) -> Outcome:
    return CoreResolver(local.read(), kernel.read).resolve(CoreRelocation(0, type_id, path, kind))


@pytest.fixture
def local() -> Types:
    return Types()


@pytest.fixture
def kernel() -> Types:
    return Types()


def test_a_field_is_found_where_the_kernel_has_it(local: Types, kernel: Types) -> None:
    mine = local.struct("task", 8, ("pid", local.int, 0), ("tgid", local.int, 4))
    kernel.struct("task", 32, ("state", kernel.u64, 0), ("tgid", kernel.int, 16), ("pid", kernel.int, 20))
    assert ask(local, kernel, mine, "0:0", CoreKind.FIELD_BYTE_OFFSET).value == 20
    assert ask(local, kernel, mine, "0:1", CoreKind.FIELD_BYTE_OFFSET).value == 16
    assert ask(local, kernel, mine, "0:1", CoreKind.FIELD_BYTE_OFFSET).original == 4
    assert ask(local, kernel, mine, "2:0", CoreKind.FIELD_BYTE_OFFSET).value == 2 * 32 + 20


def test_a_field_may_have_moved_into_an_anonymous_union(local: Types, kernel: Types) -> None:
    mine = local.struct("page", 8, ("mapping", local.u64, 0))
    inner = kernel.build.struct("", 8, [Member("mapping", kernel.u64, 0)])
    union = kernel.build.union("", 8, [Member("other", kernel.u64, 0), Member("", inner, 0)])
    kernel.struct("page", 24, ("flags", kernel.u64, 0), ("", union, 8))
    assert ask(local, kernel, mine, "0:0", CoreKind.FIELD_BYTE_OFFSET).value == 8


def test_elements_of_arrays_and_of_nested_structs(local: Types, kernel: Types) -> None:
    for types, shift in ((local, 0), (kernel, 8)):
        point = types.struct("point", 8, ("x", types.int, 0), ("y", types.int, 4))
        types.struct("line", 16 + shift, ("ends", types.build.array(point, 2), shift))
    mine = len(local.build)
    assert ask(local, kernel, mine, "0:0:1:1", CoreKind.FIELD_BYTE_OFFSET).value == 8 + 8 + 4
    assert ask(local, kernel, mine, "0:0:1", CoreKind.FIELD_BYTE_SIZE).value == 8
    assert ask(local, kernel, mine, "0:0", CoreKind.FIELD_BYTE_SIZE).value == 16
    with pytest.raises(BtfError, match="no element 2"):
        ask(local, kernel, mine, "0:0:2", CoreKind.FIELD_BYTE_OFFSET)


def test_existence_of_fields_depends_on_their_kind(local: Types, kernel: Types) -> None:
    pointer = local.build.ptr()
    mine = local.struct("thing", 24, ("here", local.u64, 0), ("gone", local.u64, 8), ("other", pointer, 16))
    kernel.struct("thing", 16, ("here", kernel.int, 0), ("other", kernel.u64, 8))
    exists = [ask(local, kernel, mine, f"0:{index}", CoreKind.FIELD_EXISTS).value for index in range(3)]
    assert exists == [1, 0, 0]
    assert ask(local, kernel, mine, "0:1", CoreKind.FIELD_BYTE_OFFSET).value is None


def test_a_flavour_stands_for_the_type_without_it(local: Types, kernel: Types) -> None:
    mine = local.struct("task___old", 4, ("state", local.int, 0))
    kernel.struct("task", 12, ("state", kernel.int, 8))
    assert ask(local, kernel, mine, "0:0", CoreKind.FIELD_BYTE_OFFSET).value == 8
    assert essential("task___v2___x") == "task___v2"
    assert essential("___x") == "___x"


@pytest.mark.skipif(sys.byteorder == "big", reason="shifts are for little endian machines")
def test_bit_fields_give_offset_size_shifts_and_sign(local: Types, kernel: Types) -> None:
    mine = local.struct("bits", 4, ("a", local.u32, 0, 1))
    kernel.struct("bits", 8, ("z", kernel.int, 0), ("b", kernel.u32, 32, 5), ("a", kernel.int, 37, 3))
    answers = {
        kind: ask(local, kernel, mine, "0:0", kind).value
        for kind in (
            CoreKind.FIELD_BYTE_OFFSET,
            CoreKind.FIELD_BYTE_SIZE,
            CoreKind.FIELD_LSHIFT_U64,
            CoreKind.FIELD_RSHIFT_U64,
            CoreKind.FIELD_SIGNED,
        )
    }
    assert list(answers.values()) == [4, 4, 64 - 8, 64 - 3, 1]


def test_sizes_and_ids_and_existence_of_types(local: Types, kernel: Types) -> None:
    mine, gone = local.struct("task", 4), local.struct("gone", 4)
    theirs = kernel.struct("task", 64, ("pid", kernel.int, 0))
    kinds = (CoreKind.TYPE_EXISTS, CoreKind.TYPE_SIZE, CoreKind.TYPE_ID_TARGET, CoreKind.TYPE_ID_LOCAL)
    assert [ask(local, kernel, mine, "0", kind).value for kind in kinds] == [1, 64, theirs, mine]
    assert [ask(local, kernel, gone, "0", kind).value for kind in kinds] == [0, 0, 0, gone]


def test_names_of_enumerations_are_looked_up_whatever_their_width(local: Types, kernel: Types) -> None:
    mine = local.build.enum("state___x", {"IDLE": 0, "BUSY___x": 1, "GONE": 2})
    kernel.build.enum("state", {"IDLE": 0, "BUSY": -5, "NEW": 1 << 40}, size=8)
    exists = [ask(local, kernel, mine, str(index), CoreKind.ENUMVAL_EXISTS).value for index in range(3)]
    values = [ask(local, kernel, mine, str(index), CoreKind.ENUMVAL_VALUE).value for index in range(3)]
    assert exists == [1, 1, 0]
    assert values == [0, -5, None]


def test_types_of_one_name_that_answer_differently_are_an_error(local: Types, kernel: Types) -> None:
    mine = local.struct("twice", 4, ("x", local.int, 0))
    kernel.struct("twice", 8, ("x", kernel.int, 0))
    kernel.struct("twice", 8, ("x", kernel.int, 4))
    with pytest.raises(BtfError, match=r"twice\.x: the kernel's types of this name differ \(0, 4\)"):
        ask(local, kernel, mine, "0:0", CoreKind.FIELD_BYTE_OFFSET)
    assert ask(local, kernel, mine, "0:0", CoreKind.FIELD_EXISTS).value == 1


@pytest.mark.parametrize(
    ("members", "matches"),
    [
        ((("a", "int"), ("p", "inner*")), 1),
        ((("p", "inner*"), ("b", "u64"), ("a", "int")), 1),
        ((("a", "u32"), ("p", "inner*")), 0),
        ((("a", "int"),), 0),
        ((("a", "int"), ("p", "other*")), 0),
    ],
)
def test_a_type_matches_when_all_its_members_do(
    local: Types, kernel: Types, members: tuple[tuple[str, str], ...], matches: int
) -> None:
    def add_struct(types: Types, wanted: tuple[tuple[str, str], ...]) -> int:
        kinds = {
            "int": types.int,
            "u32": types.u32,
            "u64": types.u64,
            "inner*": types.build.ptr(types.struct("inner", 0)),
            "other*": types.build.ptr(types.struct("other", 0)),
        }
        return types.struct("outer", 64, *((name, kinds[kind], 8 * i) for i, (name, kind) in enumerate(wanted)))

    mine = add_struct(local, (("a", "int"), ("p", "inner*")))
    add_struct(kernel, members)
    assert ask(local, kernel, mine, "0", CoreKind.TYPE_MATCHES).value == matches


def test_matching_follows_prototypes_arrays_and_enumerations() -> None:
    one, other = Types(), Types()
    for types, length, extra in ((one, 3, {}), (other, 4, {"MORE": 9})):
        kind = types.build.enum("kind", {"A": 0, **extra})
        proto = types.build.func_proto(types.int, [("kind", kind)])
        types.build.typedef("callback", types.build.ptr(proto))
        types.build.typedef("row", types.build.array(types.int, length))
    mine, theirs = one.read(), other.read()
    ids = {name: (mine.require(name, Kind.TYPEDEF), theirs.require(name, Kind.TYPEDEF)) for name in ("callback", "row")}
    assert types_match(mine, ids["callback"][0], theirs, ids["callback"][1])
    assert not types_match(theirs, ids["callback"][1], mine, ids["callback"][0])
    assert not types_match(mine, ids["row"][0], theirs, ids["row"][1])


@pytest.mark.parametrize(
    ("before", "outcome", "after"),
    [
        (mov(R1, 8), Outcome("q", 24, 8), mov(R1, 24)),
        (add(R1, 8), Outcome("q", 24, 8), add(R1, 24)),
        (load(Size.W, R1, R2, 8), Outcome("q", 24, 8), load(Size.W, R1, R2, 24)),
        (load(Size.W, R1, R2, 8), Outcome("q", 24, 8, size=8), load(Size.DW, R1, R2, 24)),
        (store(Size.DW, R1, 8, R2), Outcome("q", 2, 8, size=2), store(Size.H, R1, 2, R2)),
        (load_imm64(R1, 1), Outcome("q", 1 << 40), load_imm64(R1, 1 << 40)),
        (load_imm64(R1, 1), Outcome("q", -5), load_imm64(R1, -5)),
    ],
)
def test_the_answer_takes_its_place_in_the_instruction(
    before: Instruction, outcome: Outcome, after: Instruction
) -> None:
    assert patch(before, outcome) == (after,)


def test_what_the_kernel_does_not_have_becomes_a_call_that_it_refuses() -> None:
    for before in (mov(R1, 8), load_imm64(R1, 1), load(Size.W, R1, R2, 8)):
        after = patch(before, Outcome("q", None))
        assert [ins.imm for ins in after] == [POISON] * before.slots
        assert all(ins.is_call for ins in after)
    signed = patch(load(Size.W, R1, R2, 8), Outcome("q", 24, 8, size=8, fixed_size=True))
    assert signed[0].imm == POISON


def test_an_answer_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(BtfError, match="too far"):
        patch(load(Size.W, R1, R2, 8), Outcome("q", 1 << 16))
    with pytest.raises(BtfError, match="too large"):
        patch(mov(R1, 8), Outcome("q", 1 << 33))
    with pytest.raises(BtfError, match="cannot carry"):
        patch(mov(R1, R2), Outcome("q", 1))


@pytest.mark.parametrize("path", ["", "x", "0:9", "0:0:0", "-1", "0:" * 80 + "0"])
def test_broken_paths_are_errors(local: Types, kernel: Types, path: str) -> None:
    mine = local.struct("task", 8, ("pid", local.int, 0))
    with pytest.raises(BtfError):
        ask(local, kernel, mine, path, CoreKind.FIELD_BYTE_OFFSET)

from __future__ import annotations

import pickle

import pytest

from pybpf.errors import (
    ImageError,
    KernelError,
    NotLoaded,
    OutsideProgram,
    PermissionDenied,
    ProgramRejected,
    PybpfError,
    SymbolNotFound,
    UnsafeProbeSite,
    UnsupportedFeature,
)

ERRORS = [
    KernelError("create map", 22, "do that"),
    PermissionDenied("create map", 1, "CAP_BPF"),
    ProgramRejected("load program x", 13, "0: (95) exit\nR0 !read_ok\nprocessed 1 insns\n", truncated=True),
    UnsupportedFeature("uprobe session", "6.13", ("link: EINVAL",)),
    NotLoaded("HashMap calls", "lookup"),
    OutsideProgram("RingBuffer events", "reserve"),
    ImageError("/lib/x.so", "truncated"),
    SymbolNotFound("dbProcess", "/lib/x.so", "is it stripped?"),
    UnsafeProbeSite("dbProcess", 0x1234, "a 5-byte nop", b"\x0f\x1f\x44\x00\x00"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_an_error_survives_the_way_to_another_process(error: PybpfError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ERRORS[1], ["Operation not permitted", "EPERM", "CAP_BPF"]),
        (ERRORS[2], ["load program x", "R0 !read_ok"]),
        (ERRORS[3], ["uprobe session", "6.13", "link: EINVAL"]),
        (ERRORS[8], ["dbProcess", "0x1234", "0f 1f 44 00 00", "5-byte nop"]),
    ],
)
def test_the_text_says_what_and_what_to_do(error: PybpfError, words: list[str]) -> None:
    for word in words:
        assert word in str(error)


def test_the_reason_of_a_rejection_is_the_title_of_the_report_where_there_is_one() -> None:
    log = (
        "0: (95) exit\nR0 !read_ok\n\nVerification failed: Type: Bad\n\nSuggestion:\n  Do that.\n\nprocessed 1 insns\n"
    )
    assert ProgramRejected("load", 13, log).hint == "Verification failed: Type: Bad"

"""Symbols, offsets and build-ids of synthetic and of real images; damaged ones end in a clear error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybpf.elf import ElfImage, ImageKind, Machine, SymbolKind
from pybpf.errors import ImageError, SymbolNotFound
from tests.support.elfwriter import CODE_ADDRESS, CODE_OFFSET, GLOBAL, LOCAL, OBJECT, Definition, write_elf

PUSH = b"\x53\xc3"


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "libx.so"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("sections", [True, False], ids=["sections", "no sections"])
@pytest.mark.parametrize("hashes", [("gnu",), ("sysv",), ("gnu", "sysv")], ids=",".join)
def test_every_exported_symbol_is_found_by_its_hash(
    tmp_path: Path, bits: int, big_endian: bool, sections: bool, hashes: tuple[str, ...]
) -> None:
    wanted = [Definition(f"function_{n}", PUSH * (n % 5 + 1)) for n in range(40)]
    wanted.append(Definition("outside", defined=False))
    path = saved(tmp_path, write_elf(wanted, bits=bits, big_endian=big_endian, sections=sections, hashes=hashes))
    with ElfImage.open(path) as image:
        assert image.bits == bits
        for d in wanted[:-1]:
            symbol = image.symbol(d.name)
            assert (symbol.name, symbol.size, symbol.kind) == (d.name, len(d.code), SymbolKind.FUNCTION)
            assert image.read(symbol.address, symbol.size) == d.code
            assert symbol.exported
        assert image.find("outside") is None
        assert image.find("function_") is None
        with pytest.raises(SymbolNotFound) as caught:
            image.symbol("absent")
        assert (caught.value.symbol, caught.value.path) == ("absent", str(path))


@given(st.lists(st.text("abcdefg_", min_size=1, max_size=6), unique=True, max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_hash_sections_agree_with_a_scan(tmp_path: Path, names: list[str]) -> None:
    definitions = [Definition(name, PUSH) for name in names]
    found = []
    for hashes in (("gnu",), ("sysv",), ()):
        with ElfImage.open(saved(tmp_path, write_elf(definitions, hashes=hashes))) as image:
            found.append([image.find(name) for name in [*names, "h", "abcdefg"]])
    assert found[0] == found[1] == found[2]
    assert all(found[0][: len(names)])


def test_a_static_function_comes_from_symtab(tmp_path: Path) -> None:
    definitions = [Definition("seen"), Definition("hidden", PUSH, bind=LOCAL, exported=False)]
    with ElfImage.open(saved(tmp_path, write_elf(definitions))) as image:
        symbol = image.symbol("hidden")
        assert (symbol.local, symbol.exported) == (True, False)
        assert image.read(symbol.address, symbol.size) == PUSH
        assert image.has_symtab
    with ElfImage.open(saved(tmp_path, write_elf(definitions, sections=False))) as image:
        assert not image.has_symtab
        with pytest.raises(SymbolNotFound, match=r"stripped of \.symtab"):
            image.symbol("hidden")


def test_statics_of_one_name_are_never_guessed_between(tmp_path: Path) -> None:
    twins = [Definition("init", PUSH, bind=LOCAL, exported=False), Definition("init", PUSH, bind=LOCAL, exported=False)]
    with ElfImage.open(saved(tmp_path, write_elf(twins))) as image:
        with pytest.raises(SymbolNotFound, match="2 local symbols share the name"):
            image.symbol("init")
        assert [s.address for s in image.symbols_named("init")] == [CODE_ADDRESS, CODE_ADDRESS + 16]
    with ElfImage.open(saved(tmp_path, write_elf([*twins, Definition("init", exported=False, bind=GLOBAL)]))) as image:
        assert image.symbol("init").address == CODE_ADDRESS + 32


def test_a_name_that_ends_a_longer_one_is_told_apart(tmp_path: Path) -> None:
    names = [Definition("my_dbPut", exported=False), Definition("dbPut", PUSH, exported=False)]
    with ElfImage.open(saved(tmp_path, write_elf(names))) as image:
        assert image.symbol("dbPut").address == CODE_ADDRESS + 16
        assert image.find("Put") is None


def test_addresses_become_file_offsets(tmp_path: Path) -> None:
    definitions = [Definition("code", PUSH), Definition("data", b"\0" * 8, kind=OBJECT)]
    with ElfImage.open(saved(tmp_path, write_elf(definitions))) as image:
        assert image.file_offset(image.symbol("code").address) == CODE_OFFSET
        assert image.symbol("data").kind is SymbolKind.OBJECT
        assert image.is_executable(CODE_ADDRESS)
        assert not image.is_executable(0)
        assert image.read(CODE_ADDRESS, 10**9)[:2] == PUSH
        with pytest.raises(ImageError, match="0x100000 has no bytes"):
            image.file_offset(0x100000)
        # A line "7f0000001000-... r-xp 00003000" of /proc/PID/maps.
        assert image.load_bias(0x7F0000001000, CODE_OFFSET) == 0x7F0000001000 - CODE_ADDRESS
        assert image.load_bias(0x7F0000000000, 0) == 0x7F0000000000
        with pytest.raises(ImageError, match="0x900000"):
            image.load_bias(0, 0x900000)


def test_identity_kind_machine_and_build_id(tmp_path: Path) -> None:
    path = saved(tmp_path, write_elf([Definition("f")], build_id=bytes(range(20)), machine="aarch64"))
    with ElfImage.open(path) as image:
        status = path.stat()
        assert (image.identity.device, image.identity.inode) == (status.st_dev, status.st_ino)
        assert image.build_id == bytes(range(20)).hex()
        assert (image.machine, image.kind) == (Machine.AARCH64, ImageKind.SHARED)
    with ElfImage.open(saved(tmp_path, write_elf([Definition("f")], elf_type=2))) as image:
        assert (image.build_id, image.kind, image.machine) == (None, ImageKind.EXECUTABLE, Machine.X86_64)


def test_an_image_by_descriptor_leaves_the_descriptor_alone(tmp_path: Path) -> None:
    path = saved(tmp_path, write_elf([Definition("f", PUSH)]))
    fd = os.open(path, os.O_RDONLY)
    try:
        os.lseek(fd, 7, os.SEEK_SET)
        path.unlink()  # as a library that was replaced while it ran
        with ElfImage.from_fd(fd, "libx.so (deleted)") as image:
            assert image.symbol("f").address == CODE_ADDRESS
            assert image.path == "libx.so (deleted)"
        assert os.lseek(fd, 0, os.SEEK_CUR) == 7
    finally:
        os.close(fd)


def test_what_is_no_image_is_refused_with_a_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    cases = {
        tmp_path / "absent": "No such file",
        tmp_path: "not a regular file",
        tmp_path / "fifo": "not a regular file",
    }
    for path, reason in cases.items():
        with pytest.raises(ImageError, match=reason) as caught:
            ElfImage.open(path)
        assert caught.value.path == str(path)
    for data in (b"", b"\x7fEL", b"\x7fELF", b"#!/bin/sh\n", b"\0" * 4096, b"\x7fELF" + b"\xff" * 4096):
        with pytest.raises(ImageError):
            ElfImage.open(saved(tmp_path, data))
    with pytest.raises(ImageError, match="neither an executable nor a shared library"):
        ElfImage.open(saved(tmp_path, write_elf([Definition("f")], elf_type=1)))
    with pytest.raises(ImageError):
        ElfImage.from_fd(1 << 20)


def test_a_circle_in_a_damaged_hash_chain_ends(tmp_path: Path) -> None:
    definitions = [Definition(f"f{n}") for n in range(6)]
    with ElfImage.open(saved(tmp_path, write_elf(definitions, hashes=["sysv"], loops=True, sections=False))) as image:
        assert image.find("absent") is None


def ask_everything(path: Path) -> None:
    """Every question to an image: each is answered or ends in an ImageError; any other exception fails the test."""
    with suppress(ImageError), ElfImage.open(path) as image:
        assert image.build_id is None or image.build_id
        for name in ("f0", "f7", "hidden", "absent"):
            symbol = image.find(name)
            if symbol is not None and image.is_executable(symbol.address):
                image.read(symbol.address, symbol.size)
                image.file_offset(symbol.address)
            image.symbols_named(name)


SOUND = [
    write_elf(
        [Definition(f"f{n}", PUSH) for n in range(8)] + [Definition("hidden", bind=LOCAL, exported=False)],
        hashes=hashes,
        build_id=b"\x01" * 20,
    )
    for hashes in (("gnu",), ("sysv",), ())
]


@given(image=st.sampled_from(SOUND), keep=st.floats(0, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_truncated_image_gives_an_answer_or_an_image_error(tmp_path: Path, image: bytes, keep: float) -> None:
    ask_everything(saved(tmp_path, image[: int(len(image) * keep)]))


@given(
    image=st.sampled_from(SOUND),
    damage=st.lists(st.tuples(st.integers(0, 0x1FF), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])), max_size=6),
    tail=st.lists(st.tuples(st.integers(0, 0x400), st.integers(0, 255)), max_size=6),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_a_damaged_image_gives_an_answer_or_an_image_error(
    tmp_path: Path, image: bytes, damage: list[tuple[int, int]], tail: list[tuple[int, int]]
) -> None:
    data = bytearray(image)
    for offset, value in damage:
        data[offset] = value
    for offset, value in tail:
        data[len(data) - 1 - offset] = value
    ask_everything(saved(tmp_path, bytes(data)))


def test_the_libc_of_this_process() -> None:
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    path = next((name for name in mapped if "/libc.so" in name), None)
    if path is None:
        pytest.skip("needs a dynamically linked glibc")
    with ElfImage.open(path) as image:
        malloc = image.symbol("malloc")
        assert malloc.kind is SymbolKind.FUNCTION
        assert image.is_executable(malloc.address)
        assert image.build_id
        assert image.find("no_such_function_in_libc") is None


def test_the_executable_of_this_process() -> None:
    with ElfImage.open(os.path.realpath(sys.executable)) as image:
        assert any(segment.executable for segment in image.segments)
        assert image.bits == 64

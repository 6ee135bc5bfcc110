"""Whatever bytes come as an object: they are read, or refused with a reason; nothing else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybpf.errors import ImageError
from pybpf.objfile import ObjectError, ObjectFile
from tests.support.objects.build import SOURCES, object_of

OBJECTS = [object_of(source).read_bytes() for source in SOURCES]


def read(data: bytes) -> None:
    try:
        print_all(ObjectFile(data, "hostile.o"))
    except (ImageError, ObjectError) as error:
        assert str(error).startswith("hostile.o: ")


def print_all(file: ObjectFile) -> None:
    str(file)
    for program in file.programs.values():
        str(program)
    dict(file.variables)


@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    read(data)
    read(b"\x7fELF" + data)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(OBJECTS), st.data())
def test_a_truncated_object_is_refused(whole: bytes, data: st.DataObject) -> None:
    with pytest.raises((ImageError, ObjectError)):
        ObjectFile(whole[: data.draw(st.integers(0, len(whole) - 65))])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(OBJECTS), st.data())
def test_an_object_with_changed_bytes_is_read_or_refused(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(damaged))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(OBJECTS), st.data())
def test_an_object_with_a_changed_word_is_read_or_refused(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    struct.pack_into(
        "=I", damaged, 4 * data.draw(st.integers(0, len(whole) // 4 - 1)), data.draw(st.integers(0, 2**32 - 1))
    )
    read(bytes(damaged))


def test_reasons_name_the_file_and_what_is_wrong() -> None:
    with pytest.raises(ImageError, match=r"x\.o: not an ELF file"):
        ObjectFile(b"#!/bin/sh", "x.o")
    other = bytearray(OBJECTS[0])
    other[18] = 62  # EM_X86_64
    with pytest.raises(ImageError, match="not a relocatable eBPF object"):
        ObjectFile(bytes(other))
    swapped = bytearray(OBJECTS[0])
    swapped[5] = 2 if swapped[5] == 1 else 1
    with pytest.raises(ImageError, match="byte order"):
        ObjectFile(bytes(swapped))


def test_a_missing_file_is_an_image_error() -> None:
    with pytest.raises(ImageError, match="No such file"):
        ObjectFile.open("/no/such/file.o")

"""Which source line and which function each instruction belongs to: the arrays that go along with ``BPF_PROG_LOAD``.

``struct bpf_func_info`` and ``struct bpf_line_info`` of ``include/uapi/linux/bpf.h``, both of Linux 5.0. Instruction
offsets count slots of 8 bytes, so a 64-bit immediate counts twice.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pybpf.btf.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pybpf.asm import Instruction, SourceLine
    from pybpf.btf.builder import BtfBuilder

_LINE_MAX = (1 << 22) - 1
_COLUMN_MAX = (1 << 10) - 1


class LineInfo(NamedTuple):
    """From this slot on, code comes from ``line`` and ``column`` (from 1) of a file; strings by their offset."""

    slot: int
    file_offset: int
    text_offset: int
    line: int
    column: int = 0


class FuncInfo(NamedTuple):
    """At this slot a function begins, whose BTF id is ``type_id``."""

    slot: int
    type_id: int


def encode_line_info(lines: Iterable[LineInfo | tuple[int, int, int, int, int]]) -> bytes:
    """16 bytes for each line.

    A column beyond 1023 or a line beyond 4194303 has no room in the format and is written as the last that has.

    Raises:
        BtfError: slots do not ascend.
    """
    parts: list[bytes] = []
    previous = -1
    for slot, file_offset, text_offset, line, column in lines:
        if slot <= previous:
            raise BtfError(f"line information for slot {slot} follows that for slot {previous}")
        previous = slot
        where = min(max(line, 0), _LINE_MAX) << 10 | min(max(column, 0), _COLUMN_MAX)
        parts.append(struct.pack("=IIII", slot, file_offset, text_offset, where))
    return b"".join(parts)


def encode_func_info(functions: Iterable[FuncInfo | tuple[int, int]]) -> bytes:
    """8 bytes for each function; the first begins at slot 0.

    Raises:
        BtfError: slots do not ascend from 0.
    """
    parts: list[bytes] = []
    previous = -1
    for slot, type_id in functions:
        if slot <= previous or (previous == -1 and slot != 0):
            raise BtfError(f"function information begins at slot {slot}, after {previous}")
        previous = slot
        parts.append(struct.pack("=II", slot, type_id))
    return b"".join(parts)


def line_info_of(builder: BtfBuilder, program: Sequence[Instruction], functions: Collection[int] = (0,)) -> bytes:
    """The line information of an assembled program, from the sources of its instructions.

    ``functions`` are the slots at which functions begin: the kernel wants a line for the first instruction of each.
    Instructions without a source belong to the line before them, or where there is none, to the first one known. The
    result is empty when no instruction has a source.
    """
    line: SourceLine | None = next((ins.source for ins in program if ins.source is not None), None)
    if line is None:
        return b""
    lines: list[LineInfo] = []
    written: SourceLine | None = None
    slot = 0
    for ins in program:
        line = ins.source or line
        if line != written or slot in functions:
            file_offset, text_offset = builder.string(line.file), builder.string(line.text)
            lines.append(LineInfo(slot, file_offset, text_offset, line.line, line.column))
            written = line
        slot += ins.slots
    return encode_line_info(lines)

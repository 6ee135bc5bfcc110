"""``dis``: the instructions of a file's programs, of bytes in hex, or of a program in the kernel."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pybpf.asm import AsmError, Instruction, decode, disassemble
from pybpf.kernel.info import program_by_id, program_info
from pybpf.tools.objects import NotLoadable, instance, read_definitions, setting
from pybpf.tools.output import command, print_json

if TYPE_CHECKING:
    from pybpf.tools.output import Subparsers

_SLOT_DIGITS = 16


def add_parser(commands: Subparsers) -> None:
    """Add the subcommand."""
    parser = command(
        commands,
        "dis",
        "show the instructions of a file's programs, of bytes in hex, or of a loaded program",
        "python -m pybpf dis b7000000000000009500000000000000",
        run,
    )
    parser.add_argument(
        "what", metavar="FILE.py|HEX|ID", help="a file of programs, 16 hex digits an instruction ('-': stdin), or an id"
    )
    parser.add_argument("--program", metavar="NAME", help="only this one of the file's programs")
    parser.add_argument(
        "--set", dest="settings", metavar="NAME=VALUE", type=setting, action="append", default=[], help="as of check"
    )


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Print a listing for each program."""
    programs = _programs(options)
    if options.json:
        print_json(out, [{"name": name, "instructions": _as_json(code)} for name, code in programs])
        return 0
    for name, code in programs:
        if name:
            out.write(f"{name}:\n")
        out.write(disassemble(code))
    return 0


def _programs(options: argparse.Namespace) -> list[tuple[str, tuple[Instruction, ...]]]:
    what = options.what
    if what.endswith(".py") or Path(what).is_file():
        found = [
            (f"{cls.__name__}.{name}", spec.instructions)
            for cls in read_definitions(what).classes
            for name, spec in instance(cls, dict(options.settings)).compile().items()
            if options.program in (None, name, name.partition(":")[0], f"{cls.__name__}.{name}")
        ]
        if not found:
            raise NotLoadable(what, 0, f"no program {options.program or 'in it'}")
        return found
    if re.fullmatch(r"\d{1,10}", what):
        with program_by_id(int(what)) as fd:
            info = program_info(fd, translated=True)
        return [(f"{info.name} (id {info.id}, as the kernel runs it)", decode(info.translated))]
    return [("", _from_hex(sys.stdin.read() if what == "-" else what))]


def _from_hex(text: str) -> tuple[Instruction, ...]:
    digits = re.sub(r"\s+", "", text)
    try:
        code = bytes.fromhex(digits)
    except ValueError:
        raise NotLoadable(text.strip()[:40], 0, "neither a file, nor an id, nor hex digits") from None
    if not code or len(digits) % _SLOT_DIGITS:
        raise NotLoadable(text.strip()[:40], 0, f"{len(digits)} hex digits; an instruction is {_SLOT_DIGITS}")
    try:
        return decode(code)
    except AsmError as error:
        raise NotLoadable(text.strip()[:40], 0, str(error)) from None


def _as_json(code: Iterable[Instruction]) -> list[dict[str, Any]]:
    rows, slot = [], 0
    for ins in code:
        source = None
        if ins.source is not None:
            source = {"file": ins.source.file, "line": ins.source.line, "text": ins.source.text.strip()}
        rows.append({"slot": slot, "opcode": int(ins.opcode) & 0xFF, "text": str(ins), "source": source})
        slot += ins.slots
    return rows

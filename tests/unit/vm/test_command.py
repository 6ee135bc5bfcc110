"""``python -m pybpf.vm`` reads programs in base 16 and prints r0."""

from __future__ import annotations

import io
import struct
import subprocess
import sys

import pytest

from pybpf.asm import R0, R1, R2, Instruction, Size, add, assemble, call_function, encode, exit_, load, mov
from pybpf.errors import ImageError
from pybpf.vm.__main__ import main
from pybpf.vm.elf_text import text_of

SECOND_BYTE = "71 10 01 00 00 00 00 00 95 00 00 00 00 00 00 00"


def test_the_program_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--program", SECOND_BYTE, "2a 2b"]) == 0
    assert capsys.readouterr() == ("2b\n", "")


def test_the_program_is_a_line_of_input() -> None:
    command = [sys.executable, "-m", "pybpf.vm", "2a2b"]
    done = subprocess.run(command, input=SECOND_BYTE + " \n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2b\n", "")


def test_without_memory_r1_and_r2_are_zero(capsys: pytest.CaptureFixture[str]) -> None:
    program = encode([mov(R0, R1), add(R0, R2), add(R0, -1), exit_()]).hex()
    assert main(["--program", program]) == 0
    assert capsys.readouterr().out == "ffffffffffffffff\n"


def test_debug_shows_each_instruction(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--program", SECOND_BYTE, "2a2b", "--debug"]) == 0
    output = capsys.readouterr()
    assert output.out == "2b\n"
    lines = output.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("   0: r0 = *(u8 *)(r1 +1)   ")
    assert " r0=0x2b " in lines[0]
    assert lines[1] == "   1: exit"


def test_a_fault_is_a_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--program", SECOND_BYTE, "2a"]) == 1
    assert "an access leaves its memory" in capsys.readouterr().err
    assert main(["--program", "0500ffff00000000", "--limit", "50"]) == 1
    assert "more instructions than it may: 50" in capsys.readouterr().err
    assert main(["--program", "ff"]) == 1


@pytest.mark.parametrize("arguments", [["--program", "zz"], ["--program", "95", "memory"], ["--nothing"]])
def test_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_an_object_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    image = object_file([load(Size.B, R1, R1), call_function("f"), exit_()], [mov(R0, R1), add(R0, 2), exit_()])
    monkeypatch.setattr("sys.stdin", io.StringIO(image.hex() + "\n"))
    assert main(["28", "--elf"]) == 0
    assert capsys.readouterr().out == "2a\n"


@pytest.mark.parametrize("cut", [0, 3, 20, 63, 64, 100, 200, 300, 400])
def test_what_is_no_object_file(cut: int) -> None:
    image = object_file([call_function("f"), exit_()], [mov(R0, 1), exit_()])
    with pytest.raises(ImageError):
        text_of(image[:cut])


def object_file(program: list[Instruction], function: list[Instruction]) -> bytes:
    """A relocatable BPF object: ``program`` in its own section calls ``f``, the second function of .text."""
    filler = encode([mov(R0, 9), exit_()])
    text = filler + encode(function)
    call = next(index for index, ins in enumerate(program) if ins.target)
    code = encode(assemble([*(ins if not ins.target else ins.resolved(imm=-1) for ins in program)]))
    names = b"\0.text\0xdp\0.relxdp\0.symtab\0.strtab\0"
    strings = b"\0f\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 0x12, 0, 1, len(filler), len(text) - len(filler))
    relocations = struct.pack("<QQ", call * 8, 1 << 32 | 10)
    contents = [b"", text, code, relocations, symbols, strings + names]
    kinds = [(0, 0, 0, 0, 0), (1, 6, 0, 0, 0), (1, 6, 0, 0, 0), (9, 0, 4, 2, 16), (2, 0, 5, 1, 24), (3, 0, 0, 0, 0)]
    # One table serves for the names of symbols and of sections, whose names come after those of the symbols.
    labels = [
        0,
        *(
            len(strings) + names.index(b"\0" + name) + 1
            for name in (b".text", b"xdp", b".relxdp", b".symtab", b".strtab")
        ),
    ]
    body, headers, offset = b"", b"", 64
    for label, (kind, flags, link, info, entry), content in zip(labels, kinds, contents):
        headers += struct.pack("<IIQQQQIIQQ", label, kind, flags, 0, offset, len(content), link, info, 8, entry)
        body += content
        offset += len(content)
    ident = b"\x7fELF\2\1\1" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, offset, 0, 64, 0, 0, 64, len(contents), 5)
    return header + body + headers

"""``python -m pybpf.vm``: run one program and print r0 in hexadecimal; a plugin of the bpf_conformance suite."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pybpf.asm import AsmError
from pybpf.errors import KernelError, PermissionDenied, PybpfError
from pybpf.vm.fault import VmFault
from pybpf.vm.simple import run
from pybpf.vm.trace import trace_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, FAILED, USAGE, NOT_PERMITTED = 0, 1, 2, 3

_EPILOG = """
example: r0 = *(u8 *)(r1 + 1); exit
  python -m pybpf.vm --program "71 10 01 00 00 00 00 00 95 00 00 00 00 00 00 00" "2a 2b" --debug

exit status: 0 done, 1 the program is at fault, 2 usage, 3 the kernel does not let you
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program of the command line; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pybpf.vm",
        description="Run a BPF program with r1 = the memory and r2 = its length, and print r0 in hexadecimal.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("memory", nargs="?", default="", help="in base 16, blanks between the bytes allowed")
    parser.add_argument("--program", help="instructions in base 16; without it, one line of standard input")
    parser.add_argument("--debug", action="store_true", help="print each instruction and what it changed to stderr")
    parser.add_argument("--elf", action="store_true", help="the program is an ELF object file, in base 16 all the same")
    parser.add_argument("--kernel", action="store_true", help="run it in the kernel (BPF_PROG_TEST_RUN)")
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="stop after N instructions")
    options = parser.parse_args(arguments)
    try:
        text = sys.stdin.readline() if options.program is None else options.program
        program, memory = bytes.fromhex(text.strip()), bytes.fromhex(options.memory)
    except ValueError as error:
        parser.error(f"not base 16: {error}")
    try:
        print(f"{_run(options, program, memory):x}")
    except PermissionDenied as error:
        print(error, file=sys.stderr)
        return NOT_PERMITTED
    except (VmFault, AsmError, KernelError, PybpfError) as error:
        print(error, file=sys.stderr)
        return FAILED
    return DONE


def _run(options: argparse.Namespace, program: bytes, memory: bytes) -> int:
    if options.elf:
        # pyelftools takes longer to import than most programs to run.
        from pybpf.vm.elf_text import text_of

        program = text_of(program)
    if options.kernel:
        from pybpf.vm.kernel_run import run_in_kernel

        return run_in_kernel(program, memory)
    observer = trace_lines(lambda line: print(line, file=sys.stderr)) if options.debug else None
    limit = {} if options.limit is None else {"instruction_limit": options.limit}
    return run(program, memory, observer=observer, **limit)


if __name__ == "__main__":
    sys.exit(main())

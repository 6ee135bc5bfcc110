"""Instructions of each program, ours and clang's: ``python -m bench.codegen`` (clang is for this measurement only)."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from epicsmon.programs.process_trace import ProcessTrace

from bench.codegen.programs import Programs
from pybpf.asm import Instruction, slot_offsets
from pybpf.objfile import ObjectFile

FOLDER = Path(__file__).parent
NO_CLANG = 3


def slots(program: Sequence[Instruction]) -> int:
    """The length of a program in slots of 8 bytes, as the kernel counts it."""
    return slot_offsets(program)[-1] + program[-1].slots


def ours() -> dict[str, int]:
    """What our compiler makes of programs.py."""
    return {name.partition(":")[0]: slots(spec.instructions) for name, spec in Programs().compile().items()}


def clangs(folder: Path) -> dict[str, int]:
    """What clang -O2 makes of programs.c."""
    output = folder / "programs.o"
    command = ["clang", "-O2", "-target", "bpf", "-mcpu=v3", "-g", "-c", str(FOLDER / "programs.c"), "-o", str(output)]
    subprocess.run(command, check=True)
    return {name: slots(program.instructions) for name, program in ObjectFile.open(output).programs.items()}


def compile_time_ms() -> tuple[float, float]:
    """How long process_trace takes to compile: the first time in a process, and the median of ten more."""
    times = []
    for _ in range(11):
        begin = time.perf_counter()
        ProcessTrace(window_size=312, certain_size=280).compile()
        times.append(1e3 * (time.perf_counter() - begin))
    return times[0], sorted(times[1:])[5]


def main() -> int:
    """Print the table."""
    cold, warm = compile_time_ms()
    if shutil.which("clang") is None:
        print(
            "bench: clang is not here (apt-get install clang); it is needed for this comparison only", file=sys.stderr
        )
        return NO_CLANG
    with tempfile.TemporaryDirectory() as folder:
        theirs = clangs(Path(folder))
    mine = ours()
    print(f"{'program':<12}{'pybpf':>8}{'clang -O2':>12}{'ratio':>8}")
    ratios = []
    for name, count in mine.items():
        ratios.append(count / theirs[name])
        print(f"{name:<12}{count:>8}{theirs[name]:>12}{ratios[-1]:>8.2f}")
    print(f"geometric mean {math.exp(sum(map(math.log, ratios)) / len(ratios)):.3f}")
    print(f"process_trace, four programs: {cold:.0f} ms the first time, {warm:.0f} ms after that")
    return 0


if __name__ == "__main__":
    sys.exit(main())

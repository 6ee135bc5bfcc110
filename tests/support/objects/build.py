"""Compiles the C sources of this folder: ``python tests/support/objects/build.py`` after a change of one of them.

The results are committed, so that tests need no compiler; where there is one, a test compiles them again.
"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = tuple(sorted(HERE.glob("*.bpf.c")))
_FLAGS = (
    "-target",
    "bpf",
    "-O2",
    "-mcpu=v3",
    "-fdebug-compilation-dir=.",
    f"-I/usr/include/{platform.machine()}-linux-gnu",
)


def object_of(source: Path) -> Path:
    """Where the committed object of a source lies."""
    return source.with_suffix(".o")


def build(source: Path, target: Path) -> None:
    """Compile one source; debug information but BTF is dropped. CalledProcessError with the compiler's words."""
    flags = (*_FLAGS, *(() if source.name.startswith("legacy") else ("-g",)))
    subprocess.run(["clang", *flags, "-c", source.name, "-o", str(target)], cwd=HERE, check=True)
    strip = subprocess.run(["clang", "-print-prog-name=llvm-strip"], check=True, capture_output=True, text=True)
    subprocess.run([strip.stdout.strip(), "-g", str(target)], check=True)


if __name__ == "__main__":
    for each in SOURCES:
        build(each, object_of(each))

"""A soft IOC on the libraries of epicscorelibs, driven through ctypes: no build, no EPICS installation.

Run as a file (``python softioc.py -d x.db``): it prints one READY line when iocInit has returned, then obeys one IOC
shell command per line of stdin and ends each answer with an end line, so that another program can ask dbl, dbpr, casr.
End of stdin ends the IOC. This module imports nothing of epicsmon: the observed process stays free of the observer.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Any

READY = "IOC READY"
END_OF_ANSWER = "\x04END"


class SoftIocError(RuntimeError):
    """A step of starting the IOC failed; the IOC's own message is on stderr."""


class SoftIoc:
    """The IOC of this process. There can be one per process: Base keeps its database in globals.

    ``home`` is a folder with ``lib/`` and ``dbd/``; without it, the installed package epicscorelibs.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = home if home is not None else installed_home()
        # RTLD_GLOBAL: Base's record support finds its tables by name among all loaded symbols.
        self.com, self.ca, self.core, self.records = (
            ctypes.CDLL(str(find_library(self.home, name)), mode=ctypes.RTLD_GLOBAL)
            for name in ("Com", "ca", "dbCore", "dbRecStd")
        )
        self._libc = ctypes.CDLL(None)

    def start(self, databases: list[tuple[str, str]], commands: list[str] | None = None) -> None:
        """Load base.dbd and ``databases`` (file, macros), run ``commands``, then iocInit."""
        self.core.iocshRegisterCommon()
        self._must(self.core.dbLoadDatabase(b"base.dbd", os.fsencode(self.home / "dbd"), None), "base.dbd")
        pdbbase = ctypes.c_void_p.in_dll(self.core, "pdbbase")
        self._must(self._register_drivers()(pdbbase), "register record device drivers")
        for file, macros in databases:
            self._must(self.core.dbLoadRecords(os.fsencode(file), macros.encode()), f"dbLoadRecords {file}")
        for command in commands or []:
            self.command(command)
        self._must(self.core.iocInit(), "iocInit")

    def command(self, line: str) -> None:
        """Run one IOC shell command; its output goes to this process's stdout."""
        self.com.iocshCmd(line.encode())
        self.com.errlogFlush()
        self._libc.fflush(None)

    def address(self, name: str) -> tuple[int, int]:
        """Return where the record (struct dbCommon) and the field of ``name`` lie; without a field, that is VAL."""
        address = (ctypes.c_uint64 * 8)()  # struct dbAddr is 40 bytes: precord and pfield come first
        self._must(self.core.dbNameToAddr(name.encode(), address), f"no record {name}")
        return address[0], address[1]

    def exit(self) -> None:
        """Run Base's exit handlers and leave without Python's own clean-up, which Base's threads could trip over."""
        self.com.epicsExitCallAtExits()
        self._libc.fflush(None)
        os._exit(0)

    def _register_drivers(self) -> Any:
        # registerAllRecordDeviceDrivers is Base's from 7.0.4 on; the wheels before it carried their own.
        try:
            return self.core.registerAllRecordDeviceDrivers
        except AttributeError:
            return self.core.dynamic_registerRecordDeviceDriver

    @staticmethod
    def _must(status: int, what: str) -> None:
        if status:
            raise SoftIocError(f"{what}: status {status:#x}")


def installed_home() -> Path:
    """Return the folder of the installed package epicscorelibs; ModuleNotFoundError if it is not installed."""
    import epicscorelibs

    return Path(epicscorelibs.__file__).parent


def find_library(home: Path, name: str) -> Path:
    """Return the versioned library (``libCom.so.7.0.10.99.0``): the name that the others link to, so it loads once."""
    versioned = re.compile(rf"lib{name}\.so(\.\d+)+")
    found = [path for path in (home / "lib").iterdir() if versioned.fullmatch(path.name)]
    if not found:
        raise SoftIocError(f"no lib{name}.so.* in {home / 'lib'}")
    return max(found)


def main() -> None:
    """Start the IOC that the arguments describe, then serve shell commands from stdin until it ends."""
    parser = argparse.ArgumentParser(description="A soft IOC on epicscorelibs; IOC shell commands on stdin.")
    parser.add_argument("-d", "--database", action="append", default=[], metavar="FILE")
    parser.add_argument("-m", "--macros", default="", metavar="A=B,...")
    parser.add_argument("-c", "--command", action="append", default=[], help="IOC shell command before iocInit")
    parser.add_argument("--home", type=Path, help="folder with lib/ and dbd/ (default: installed epicscorelibs)")
    options = parser.parse_args()

    ioc = SoftIoc(options.home)
    ioc.start([(file, options.macros) for file in options.database], options.command)
    ioc.command(f'echo "{READY}"')
    # readline, not iteration: iteration over a file may read ahead and wait for a full buffer.
    for line in iter(sys.stdin.readline, ""):
        command = line.strip()
        if command == "exit":
            break
        ioc.command(command)
        sys.stdout.write(END_OF_ANSWER + "\n")
        sys.stdout.flush()
    ioc.exit()


if __name__ == "__main__":
    main()

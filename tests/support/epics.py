"""A real IOC of EPICS Base with its own copy of the libraries, and its own shell as the source of truth.

Uprobes belong to an inode: two tests that shared libdbCore would see each other's records. A copy costs 3 MB and some
milliseconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from epicsmon.demo import softioc
from tests.support.cache import cache_folder
from tests.support.netns import free_port
from tests.support.process import LineProcess

LOOPBACK = "127.0.0.1"
LIBRARIES = ("Com", "ca", "dbCore", "dbRecStd")

# Generations of Base that epicscorelibs published; the wheels' libraries do not use Python, so one ABI serves all.
BASE_VERSIONS = (
    "7.0.3.99.4.0",
    "7.0.4.99.1.2",
    "7.0.6.99.2.0",
    "7.0.7.99.0.2",
    "7.0.7.99.1.2",
    "7.0.10.99.0.2",
)


@dataclass(frozen=True)
class EpicsLibraries:
    """A folder with ``lib/`` (libCom, libca, libdbCore, libdbRecStd) and ``dbd/``, nobody else's inodes."""

    home: Path

    @classmethod
    def copy(cls, destination: Path, *, version: str | None = None) -> EpicsLibraries:
        """Copy the installed epicscorelibs, or that of ``version`` (fetched once by pip), to ``destination``."""
        source = softioc.installed_home() if version is None else fetch_base(version)
        (destination / "lib").mkdir(parents=True)
        for name in LIBRARIES:
            library = softioc.find_library(source, name)
            # copyfile copies bytes: a hard link or a symbolic link would share the inode.
            shutil.copyfile(library, destination / "lib" / library.name)
        shutil.copytree(source / "dbd", destination / "dbd")
        return cls(destination)

    def library(self, name: str) -> Path:
        """Return the path of ``name`` ("dbCore", "ca", ...)."""
        return softioc.find_library(self.home, name)

    @property
    def dbcore(self) -> Path:
        """The library that holds dbProcess, dbPut and the CA server."""
        return self.library("dbCore")


def fetch_base(version: str) -> Path:
    """Return the unpacked epicscorelibs of ``version`` in the cache, downloading its wheel the first time."""
    home = cache_folder() / "base" / version / "epicscorelibs"
    if home.is_dir():
        return home
    with_python = ["--python-version", "3.6", "--implementation", "cp", "--abi", "cp36m"]
    if version >= "7.0.7.99.0.3" or version.startswith("7.0.1"):
        with_python = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
    partial = home.parent.with_name(f"{version}.{os.getpid()}")
    partial.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", *with_python]
        + [f"--platform={tag}_x86_64" for tag in ("manylinux1", "manylinux2010", "manylinux2014")]
        + ["--dest", str(partial), f"epicscorelibs=={version}"],
        check=True,
    )
    (wheel,) = partial.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    wheel.unlink()
    try:
        partial.rename(home.parent)
    except OSError:
        shutil.rmtree(partial)  # another worker of this test run was first
    return home


class RealIoc:
    """A soft IOC process on loopback, its own port, in the network namespace of the calling thread. A context manager.

    ``shell`` asks the IOC itself (dbl, dbpr, casr, dbpf, ...): the truth that tests compare with.
    """

    def __init__(
        self,
        folder: Path,
        records: str,
        *,
        libraries: EpicsLibraries | None = None,
        macros: str = "",
        commands: tuple[str, ...] = (),
        name: str = "testioc",
        port: int | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.port = port if port is not None else free_port()
        self.libraries = libraries if libraries is not None else EpicsLibraries.copy(folder / "epics")
        database = folder / f"{name}.db"
        database.write_text(records)
        arguments: list[str | Path] = [sys.executable, softioc.__file__, "--home", self.libraries.home, "-d", database]
        if macros:
            arguments += ["-m", macros]
        for command in commands:
            arguments += ["-c", command]
        self.process = LineProcess(
            arguments,
            env={**epics_environment(self.port), "IOC": name, **(env or {})},
            log=folder / f"{name}.stderr",
            cwd=folder,
        )
        try:
            self.process.read_until(softioc.READY)
        except BaseException:
            self.process.stop()
            raise

    @property
    def pid(self) -> int:
        """Process id of the IOC."""
        return self.process.pid

    def shell(self, command: str, timeout: float = 20.0) -> str:
        """Run one IOC shell command and return what it printed on stdout."""
        self.process.write_line(command)
        return "\n".join(self.process.read_until(softioc.END_OF_ANSWER, timeout))

    def record_names(self) -> list[str]:
        """Return the records that ``dbl`` lists (aliases included)."""
        return self.shell("dbl").split()

    def get(self, field: str) -> str:
        """Return the value that ``dbgf`` prints for ``field``: text without the DBF type, integers in decimal only."""
        return self.shell(f"dbgf {field}").partition(":")[2].partition(" = 0x")[0].strip()

    def put(self, field: str, value: str) -> None:
        """Put from the IOC's own shell (``dbpf``): dbPutField, with no client and no packet."""
        self.shell(f'dbpf "{field}" "{value}"')

    def client_environment(self, *others: RealIoc) -> dict[str, str]:
        """Return the environment in which a client finds this IOC, and ``others``, on loopback."""
        return epics_environment(self.port, *(other.port for other in others))

    def stop(self) -> int:
        """End the IOC through its exit handlers; return its exit status."""
        return self.process.stop()

    def __enter__(self) -> RealIoc:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def epics_environment(port: int, *others: int) -> dict[str, str]:
    """Return this process's environment with every EPICS address on loopback: CA server and client on ``port``."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
    addresses = " ".join(f"{LOOPBACK}:{p}" for p in (port, *others))
    return {
        **env,
        "EPICS_CA_ADDR_LIST": addresses,
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CAS_INTF_ADDR_LIST": LOOPBACK,
        "EPICS_CAS_SERVER_PORT": str(port),
        "EPICS_PVA_ADDR_LIST": LOOPBACK,
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVAS_INTF_ADDR_LIST": LOOPBACK,
    }

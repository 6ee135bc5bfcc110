"""What /proc tells of a process that may be an IOC: its identity, command line, environment and name."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from epicsmon.ioc.errors import ProcessGone
from epicsmon.text import encodable

_NAME_VARIABLES = ("IOC", "IOCNAME", "IOC_NAME", "EPICS_IOC_NAME")
"""Environment variables that hold an IOC's name; the envPaths file of every IOC made by makeBaseApp.pl sets IOC."""

CAP_SYS_PTRACE = 19  # capabilities(7)

_HOST_PROCESS_IDS = 0xEFFFFFFC
_NAMESPACE = re.compile(r":\[(\d+)\]$")


@dataclass(frozen=True)
class ProcessIdentity:
    """Which process this is, for as long as the machine runs: the number alone is used again."""

    pid: int
    start_ticks: int

    @property
    def start_time_ns(self) -> int:
        """When it started, in nanoseconds since the Unix epoch, exact to one clock tick (10 ms)."""
        since_boot = self.start_ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + since_boot

    @property
    def is_running(self) -> bool:
        """Whether this process, and not another with its number, still runs; a zombie does not."""
        try:
            stat = read_stat(self.pid)
        except ProcessGone:
            return False
        return stat.start_ticks == self.start_ticks and stat.state not in "ZXx"


@dataclass(frozen=True)
class Stat:
    """The fields of /proc/PID/stat that are used here."""

    comm: str
    state: str
    threads: int
    start_ticks: int


def read_stat(pid: int) -> Stat:
    """/proc/PID/stat (Documentation/filesystems/proc.rst, table 1-4). Raises ProcessGone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone(pid) from None
    # comm may hold blanks and parentheses: it ends at the last one.
    head, _, tail = line.rpartition(b")")
    fields = tail.split()
    return Stat(
        comm=head.partition(b"(")[2].decode("utf-8", "backslashreplace"),
        state=fields[0].decode("ascii", "replace"),
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
    )


def read_argv(pid: int) -> tuple[str, ...]:
    """The command line, empty when it cannot be read."""
    raw = _read(f"/proc/{pid}/cmdline")
    return tuple(part.decode("utf-8", "backslashreplace") for part in raw.split(b"\0")[:-1])


def read_initial_environment(pid: int) -> dict[str, str]:
    """The environment the process was started with; what it set since is not in it. Empty when it cannot be read."""
    return parse_environment(_read(f"/proc/{pid}/environ").split(b"\0"))


def parse_environment(entries: list[bytes]) -> dict[str, str]:
    """NAME=value entries as a dictionary; the first of two wins, as in getenv(3)."""
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition(b"=")
        if equals:
            found.setdefault(name.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace"))
    return found


def read_cwd(pid: int) -> str | None:
    """The working directory; None when it cannot be read."""
    try:
        return encodable(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


def namespace_inode(pid: int, kind: str = "net") -> int | None:
    """The inode of one of the process's namespaces, which names it on this machine; None when it cannot be read."""
    try:
        link = os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return None
    found = _NAMESPACE.search(link)
    return int(found[1]) if found else None


def effective_capabilities() -> int:
    """What this process may do, a bit for each capability of capabilities(7) (CapEff of /proc/self/status)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def has_host_process_ids() -> bool:
    """Whether process ids are to this process what they are to the kernel's programs: it is in the first pid namespace.

    That namespace has a fixed inode, PROC_PID_INIT_INO (include/linux/proc_ns.h, 3.8).
    """
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _HOST_PROCESS_IDS
    except OSError:
        return False  # a /proc of another pid namespace knows no self


def ioc_name(environment: dict[str, str], argv: tuple[str, ...], cwd: str | None, comm: str) -> str:
    """What people call this IOC: the first of these that there is.

    The environment variable IOC (and kin); the directory below iocBoot it runs in; the name of its start-up script, or,
    for a name as common as st.cmd, of the script's directory; the name of the process.
    """
    for variable in _NAME_VARIABLES:
        if environment.get(variable):
            return environment[variable]
    parent, _, directory = (cwd or "").rstrip("/").rpartition("/")
    if parent.endswith("/iocBoot") and directory:
        return directory
    for argument in argv[1:]:
        base = argument.rpartition("/")[2]
        if base.endswith((".cmd", ".iocsh", ".py")) and not argument.startswith("-"):
            stem = base.rpartition(".")[0]
            if stem not in ("st", "startup", "start"):
                return stem
            folder = os.path.dirname(os.path.normpath(os.path.join(cwd or "", argument)))
            return os.path.basename(folder) or stem
    return comm


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""

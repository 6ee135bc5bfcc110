"""What can go wrong when an IOC is looked at from the outside."""

from __future__ import annotations


class IocError(Exception):
    """The base of every error of this package; `pybpf.errors.PermissionDenied` comes from below it unchanged."""


class ProcessGone(IocError):
    """The process ended (or became another program) while it was looked at."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        super().__init__(pid)

    def __str__(self) -> str:
        return f"process {self.pid} is gone"


class UnreadableMemory(IocError):
    """An address range that is not (or no longer) mapped in the process."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size
        super().__init__(address, size)

    def __str__(self) -> str:
        return f"cannot read {self.size} bytes at {self.address:#x}"


class NotAnIoc(IocError):
    """The process has no EPICS database: it neither maps libdbCore or libdbIoc nor exports dbProcess."""

    def __init__(self, pid: int, reason: str) -> None:
        self.pid = pid
        self.reason = reason
        super().__init__(pid, reason)

    def __str__(self) -> str:
        return f"process {self.pid} is not an IOC: {self.reason}"


class UnsupportedProcess(IocError):
    """An IOC whose memory is laid out in a way this package does not read: a 32-bit one."""

    def __init__(self, pid: int, reason: str) -> None:
        self.pid = pid
        self.reason = reason
        super().__init__(pid, reason)

    def __str__(self) -> str:
        return f"the memory of process {self.pid} cannot be understood: {self.reason}"


class DatabaseNotLoaded(IocError):
    """The IOC has not come so far yet: no database definition is loaded, or no record type is registered."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return f"the IOC is not ready: {self.reason}; try again when iocInit has run"


class UnknownLayout(IocError):
    """The type tables in memory are not those of an EPICS Base this package knows; nothing was guessed."""

    def __init__(self, address: int, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(address, reason)

    def __str__(self) -> str:
        return f"no EPICS database type tables at {self.address:#x}: {self.reason}"


class NoSuchFunction(IocError):
    """No file that the process maps defines the function."""

    def __init__(self, pid: int, symbol: str) -> None:
        self.pid = pid
        self.symbol = symbol
        super().__init__(pid, symbol)

    def __str__(self) -> str:
        return f"no file mapped by process {self.pid} defines {self.symbol}; was the IOC stripped of its symbols?"


class UnopenableFile(IocError):
    """The file that has the IOC's database cannot be opened from here: another user's, or another container's."""

    def __init__(self, pid: int, path: str) -> None:
        self.pid = pid
        self.path = path
        super().__init__(pid, path)

    def __str__(self) -> str:
        return (
            f"{self.path}, which process {self.pid} has mapped, cannot be opened from here; "
            "run as root or with CAP_CHECKPOINT_RESTORE (Linux 5.9)"
        )

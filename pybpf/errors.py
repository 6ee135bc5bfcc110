"""What can go wrong in pybpf: every exception carries data in fields, and a text that says what to do next.

``CompileError`` lives in :mod:`pybpf.lang`, ``VerifierError`` in :mod:`pybpf.verifier`; both derive from
:class:`PybpfError`, so one ``except`` clause covers the toolkit.
"""

from __future__ import annotations

import errno as _errno
import os


class PybpfError(Exception):
    """The base of every error this toolkit raises on purpose."""


class KernelError(PybpfError):
    """A system call the kernel refused.

    Attributes: ``operation`` (what was asked, in words), ``errno`` (the positive number), ``hint`` (what to do about
    it, may be empty).
    """

    def __init__(self, operation: str, errno: int, hint: str = "") -> None:
        self.operation = operation
        self.errno = errno
        self.hint = hint
        super().__init__(operation, errno, hint)

    @property
    def errno_name(self) -> str:
        """The symbol of the error number, ``EPERM`` and the like."""
        return _errno.errorcode.get(self.errno, f"errno {self.errno}")

    def __str__(self) -> str:
        text = f"{self.operation}: {os.strerror(self.errno)} ({self.errno_name})"
        return f"{text}; {self.hint}" if self.hint else text


class PermissionDenied(KernelError):
    """The kernel refused for lack of privilege; ``capability`` names what is missing (``CAP_BPF``, ...)."""

    def __init__(self, operation: str, errno: int, capability: str, hint: str = "") -> None:
        self.capability = capability
        super().__init__(operation, errno, hint or f"run as root or with {capability}")
        self.args = (operation, errno, capability, self.hint)


class ProgramRejected(KernelError):
    """The verifier (or the BTF checker) refused; ``log`` is what it wrote, ``truncated`` when its start or end is cut.

    :mod:`pybpf.verifier` turns it into a ``VerifierError`` on a Python line.
    """

    def __init__(self, operation: str, errno: int, log: str, truncated: bool = False) -> None:
        self.log = log
        self.truncated = truncated
        super().__init__(operation, errno, _last_words(log))
        self.args = (operation, errno, log, truncated)


_NO_REASON = ("processed ", "verification time", "stack depth", "cur state:", "old state:")


def _last_words(log: str) -> str:
    """The verifier's reason: the title of its report (7.3), else the last line of the log that is no statistics."""
    last = ""
    for line in log.splitlines():
        if line.startswith("Verification failed: "):
            return line
        if line.strip() and not line.startswith(_NO_REASON):
            last = line.strip()
    return last


class UnsupportedFeature(PybpfError):
    """This kernel (or processor) has not what was asked for.

    Attributes: ``feature`` (its name), ``since`` (the kernel that brought it, ``"6.13"``), ``tried`` (what was tried
    here and how it failed, one string each).
    """

    def __init__(self, feature: str, since: str = "", tried: tuple[str, ...] = ()) -> None:
        self.feature = feature
        self.since = since
        self.tried = tuple(tried)
        super().__init__(feature, since, self.tried)

    def __str__(self) -> str:
        text = f"{self.feature} is not supported here"
        if self.since:
            text += f" (it came with Linux {self.since})"
        if self.tried:
            text += "; tried: " + "; ".join(self.tried)
        return text


class NotLoaded(PybpfError):
    """A method of a live map or program was called on its blueprint."""

    def __init__(self, what: str, method: str) -> None:
        self.what = what
        self.method = method
        super().__init__(what, method)

    def __str__(self) -> str:
        return f"{self.what}.{self.method}: this is a blueprint; call create() on it, or load() on its BpfObject, first"


class IncompatibleMap(PybpfError):
    """A kernel object is not the map that was declared.

    Attributes: ``what`` (the declaration), ``differences`` (sentences like ``value_size is 8, declared 16``).
    """

    def __init__(self, what: str, differences: tuple[str, ...]) -> None:
        self.what = what
        self.differences = tuple(differences)
        super().__init__(what, self.differences)

    def __str__(self) -> str:
        return f"this map is not the {self.what} that was declared: " + ", ".join(self.differences)


class OutsideProgram(PybpfError):
    """A method that exists only inside a BPF program was called in Python."""

    def __init__(self, what: str, method: str) -> None:
        self.what = what
        self.method = method
        super().__init__(what, method)

    def __str__(self) -> str:
        return f"{self.what}.{self.method} exists only inside a BPF program; it cannot run in Python"


class ImageError(PybpfError):
    """A file is not the ELF image it should be: truncated, garbage, another machine's."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(path, reason)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class SymbolNotFound(PybpfError):
    """An ELF image does not define the symbol."""

    def __init__(self, symbol: str, path: str, hint: str = "") -> None:
        self.symbol = symbol
        self.path = path
        self.hint = hint
        super().__init__(symbol, path, hint)

    def __str__(self) -> str:
        text = f"{self.path} defines no symbol {self.symbol}"
        return f"{text}; {self.hint}" if self.hint else text


class UnsafeProbeSite(PybpfError):
    """A probe at this place could harm the target, and no safe place near it was found.

    Attributes: ``symbol``, ``address`` (in the image, bytes), ``reason``, ``code`` (the bytes found there).
    """

    def __init__(self, symbol: str, address: int, reason: str, code: bytes = b"") -> None:
        self.symbol = symbol
        self.address = address
        self.reason = reason
        self.code = code
        super().__init__(symbol, address, reason, code)

    def __str__(self) -> str:
        shown = f" [{self.code[:16].hex(' ')}]" if self.code else ""
        return f"no safe probe site in {self.symbol} at {self.address:#x}{shown}: {self.reason}"

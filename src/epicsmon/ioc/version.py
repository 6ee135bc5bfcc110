"""Which EPICS Base a file was built from."""

from __future__ import annotations

import re

_VERSION = re.compile(rb"EPICS (?:Version EPICS )?R?(\d+\.\d+\.\d+(?:\.\d+)?(?:-[A-Za-z0-9.]+)?)")
"""EPICS_VERSION_STRING of epicsVersion.h as it lies in .rodata: "EPICS R3.15.9", "EPICS 7.0.10.1-DEV"."""

_CHUNK = 1 << 20
_OVERLAP = 64


def base_version(path: str) -> str | None:
    """The version of Base in an executable or library, like `7.0.10.1-DEV`; None when the file names none.

    Reads the file in pieces rather than mapping it: a file that shrinks meanwhile must not kill the reader.
    """
    try:
        with open(path, "rb") as file:
            tail = b""
            while chunk := file.read(_CHUNK):
                found = _VERSION.search(tail + chunk)
                if found:
                    return found[1].decode("ascii")
                tail = chunk[-_OVERLAP:]
    except OSError:
        return None
    return None

"""The status codes of Channel Access, ECA_..., by number and by name.

A code is `(number << 3) | severity`. Source: EPICS Base caerr.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """CA_K_...: the low three bits of a status; odd means success."""

    WARNING = 0
    SUCCESS = 1
    ERROR = 2
    INFO = 3
    SEVERE = 4
    FATAL = 6


_W, _S, _E, _I, _F = Severity.WARNING, Severity.SUCCESS, Severity.ERROR, Severity.INFO, Severity.FATAL
_STATUSES: tuple[tuple[str, Severity], ...] = (
    ("ECA_NORMAL", _S), ("ECA_MAXIOC", _E), ("ECA_UKNHOST", _E), ("ECA_UKNSERV", _E), ("ECA_SOCK", _E),
    ("ECA_CONN", _W), ("ECA_ALLOCMEM", _W), ("ECA_UKNCHAN", _W), ("ECA_UKNFIELD", _W), ("ECA_TOLARGE", _W),
    ("ECA_TIMEOUT", _W), ("ECA_NOSUPPORT", _W), ("ECA_STRTOBIG", _W), ("ECA_DISCONNCHID", _E), ("ECA_BADTYPE", _E),
    ("ECA_CHIDNOTFND", _I), ("ECA_CHIDRETRY", _I), ("ECA_INTERNAL", _F), ("ECA_DBLCLFAIL", _W), ("ECA_GETFAIL", _W),
    ("ECA_PUTFAIL", _W), ("ECA_ADDFAIL", _W), ("ECA_BADCOUNT", _W), ("ECA_BADSTR", _E), ("ECA_DISCONN", _W),
    ("ECA_DBLCHNL", _W), ("ECA_EVDISALLOW", _E), ("ECA_BUILDGET", _W), ("ECA_NEEDSFP", _W), ("ECA_OVEVFAIL", _W),
    ("ECA_BADMONID", _E), ("ECA_NEWADDR", _W), ("ECA_NEWCONN", _I), ("ECA_NOCACTX", _W), ("ECA_DEFUNCT", _F),
    ("ECA_EMPTYSTR", _W), ("ECA_NOREPEATER", _W), ("ECA_NOCHANMSG", _W), ("ECA_DLCKREST", _W), ("ECA_SERVBEHIND", _W),
    ("ECA_NOCAST", _W), ("ECA_BADMASK", _E), ("ECA_IODONE", _I), ("ECA_IOINPROGRESS", _I), ("ECA_BADSYNCGRP", _E),
    ("ECA_PUTCBINPROG", _E), ("ECA_NORDACCESS", _W), ("ECA_NOWTACCESS", _W), ("ECA_ANACHRONISM", _E),
    ("ECA_NOSEARCHADDR", _W), ("ECA_NOCONVERT", _W), ("ECA_BADCHID", _E), ("ECA_BADFUNCPTR", _E),
    ("ECA_ISATTACHED", _W), ("ECA_UNAVAILINSERV", _W), ("ECA_CHANDESTROY", _W), ("ECA_BADPRIORITY", _E),
    ("ECA_NOTTHREADED", _E), ("ECA_16KARRAYCLIENT", _W), ("ECA_CONNSEQTMO", _W), ("ECA_UNRESPTMO", _W),
)  # fmt: skip


@dataclass(frozen=True)
class EcaStatus:
    """A status that a server sent: its code, Base's name for it and its severity, None where Base knows none."""

    code: int
    name: str | None
    severity: Severity | None

    @property
    def success(self) -> bool:
        """Whether the request was carried out."""
        return bool(self.code & 1)


def eca_status(code: int) -> EcaStatus:
    """The status with this code; `name` is None for a number, or a severity with it, that caerr.h does not have."""
    number, low = code >> 3, code & 7
    severity = Severity(low) if low in _SEVERITIES else None
    if number < len(_STATUSES) and _STATUSES[number][1] == low:
        return EcaStatus(code, _STATUSES[number][0], severity)
    return EcaStatus(code, None, severity)


_SEVERITIES = frozenset(int(severity) for severity in Severity)
ECA_NORMAL = 1

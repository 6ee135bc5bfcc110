"""IOC processes that are found, start and exit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from epicsmon.events.values import Json
from epicsmon.text import rfc3339


class IocEventKind(str, Enum):
    """What happened to an IOC process."""

    FOUND = "found"
    STARTED = "started"
    EXITED = "exited"


@dataclass(frozen=True)
class IocEvent:
    """An IOC process was found, started or exited."""

    time_ns: int
    kind: IocEventKind
    pid: int
    name: str | None
    detail: str

    def to_json(self) -> dict[str, Json]:
        """The event under stable names."""
        return {
            "event": "ioc",
            "time": rfc3339(self.time_ns),
            "time_ns": self.time_ns,
            "kind": self.kind.value,
            "pid": self.pid,
            "name": self.name,
            "detail": self.detail,
        }

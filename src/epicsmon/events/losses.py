"""What was lost, where, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from epicsmon.events.values import Json
from epicsmon.text import rfc3339


class Stage(str, Enum):
    """Where something was lost on its way from the IOC to a sink."""

    RING = "ring"
    SOCKET = "socket"
    STREAM = "stream"
    PARSER = "parser"
    SOURCE = "source"
    QUEUE = "queue"
    SINK = "sink"


class LossUnit(str, Enum):
    """What `Gap.lost` counts: before the parser only packets or bytes can be counted, after it events."""

    EVENTS = "events"
    PACKETS = "packets"
    BYTES = "bytes"


@dataclass(frozen=True)
class Gap:
    """Something was lost: `lost` of `unit`, at `stage`; `detail` says of what. At least that many when in doubt."""

    time_ns: int
    stage: Stage
    lost: int
    detail: str
    unit: LossUnit = LossUnit.EVENTS

    def to_json(self) -> dict[str, Json]:
        """The gap under stable names."""
        return {
            "event": "gap",
            "time": rfc3339(self.time_ns),
            "time_ns": self.time_ns,
            "stage": self.stage.value,
            "lost": self.lost,
            "unit": self.unit.value,
            "detail": self.detail,
        }

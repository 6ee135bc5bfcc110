"""The events that sources yield and sinks take: puts, spans, chains, gaps, and what happens to IOCs.

Every field that can be unknown is None, never a guess. Times are nanoseconds since the Unix epoch, durations are
nanoseconds. Text is already decoded (`epicsmon.text.decode`) but not yet escaped: a sink that writes to a terminal
or a log escapes it (`epicsmon.text.escape`).
"""

from __future__ import annotations

from typing import Union

from epicsmon.events.chains import Chain, Span, SpanKind, Trigger
from epicsmon.events.iocs import IocEvent, IocEventKind
from epicsmon.events.losses import Gap, LossUnit, Stage
from epicsmon.events.puts import Endpoint, Provenance, PutEvent
from epicsmon.events.values import Json, Scalar, Value, value_to_json

Event = Union[PutEvent, Gap, IocEvent, Span, Chain]

__all__ = [
    "Chain",
    "Endpoint",
    "Event",
    "Gap",
    "IocEvent",
    "IocEventKind",
    "Json",
    "LossUnit",
    "Provenance",
    "PutEvent",
    "Scalar",
    "Span",
    "SpanKind",
    "Stage",
    "Trigger",
    "Value",
    "value_to_json",
]

"""How events are written for people; everything that came from the network or from memory is escaped here."""

from __future__ import annotations

from epicsmon.events import Gap, IocEvent, PutEvent, Span, Value, value_to_json
from epicsmon.text import escape, local_clock, long_string

UNKNOWN = "unknown"


def value_text(value: Value, limit: int = 60, count: int | None = None) -> str:
    """A value in at most about `limit` characters: strings in quotes, arrays in brackets, other bytes as 0x....

    What does not fit is replaced by `...` and, for arrays and bytes, the number of elements: `count` where `value`
    holds only the first of them. Elements that have more than eight digits are shown with six.
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return _quoted(value, limit)
    if isinstance(value, bytes):
        text = long_string(value)
        if text is not None:
            return _quoted(text, limit)
        digits, length = value[: limit // 2].hex(), max(len(value), count or 0)
        return f"0x{digits}" if 2 * length <= limit else f"0x{digits}... ({length} bytes)"
    if isinstance(value, tuple):
        return _array_text(value, limit, max(len(value), count or 0))
    return str(value_to_json(value))


def _array_text(value: tuple[int | float | str, ...], limit: int, count: int) -> str:
    shown: list[str] = []
    width = 0
    for item in value:
        text = value_text(item, limit)
        if isinstance(item, float) and len(text) > 8:
            text = f"{item:.6g}"
        width += len(text) + 1
        if shown and width > limit:
            return f"[{' '.join(shown)} ... ({count})]"
        shown.append(text)
    return f"[{' '.join(shown)}]" if count == len(value) else f"[{' '.join(shown)} ... ({count})]"


def _quoted(text: str, limit: int) -> str:
    shown = escape(text[: limit + 1]).replace('"', '\\"')
    return f'"{shown}"' if len(shown) <= limit else f'"{shown[:limit]}..."'


def channel_text(put: PutEvent) -> str:
    """The PV's name, or what is known of a channel that was opened before anyone watched."""
    return f"{UNKNOWN}(sid={put.sid} {put.client})" if put.pv is None else escape(put.pv)


def user_text(put: PutEvent) -> str:
    """`user@host` as the client declared them."""
    user = UNKNOWN if put.user is None else escape(put.user)
    host = UNKNOWN if put.host is None else escape(put.host)
    return f"{user}@{host}"


def record_text(span: Span) -> str:
    """`record.FIELD (type)`, as far as known."""
    name = UNKNOWN if span.record is None else escape(span.record)
    if span.field is not None:
        name += f".{escape(span.field)}"
    return name if span.record_type is None else f"{name} ({escape(span.record_type)})"


def gap_text(gap: Gap) -> str:
    """A loss in one line."""
    return f"{local_clock(gap.time_ns)} -- lost {gap.lost} {gap.unit.value} at {gap.stage.value}: {escape(gap.detail)}"


def ioc_event_text(event: IocEvent) -> str:
    """What happened to an IOC in one line."""
    name = UNKNOWN if event.name is None else escape(event.name)
    return f"{local_clock(event.time_ns)} -- IOC {name} (pid {event.pid}) {event.kind.value}: {escape(event.detail)}"

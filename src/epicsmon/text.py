"""Text from the network and from memory: decoded safely, escaped before it reaches a terminal or a log."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"}


def decode(raw: bytes) -> str:
    """The C string at the start of `raw`, as far as its first NUL; bytes that are no UTF-8 become `\\xNN`.

    Whatever the bytes are, the result can be encoded again: no lone surrogates reach a store or a socket.
    """
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def escape(text: str) -> str:
    """`text` with everything that could steer a terminal or forge a log line written as an escape of Python's.

    Control characters, line and paragraph separators, directional overrides, lone surrogates and every blank but the
    space are escaped; a backslash is doubled, so that the text can be told from the escape. Letters of all scripts
    stay.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_escaped(c) for c in text)


def _escaped(char: str) -> str:
    named = _NAMED.get(char)
    if named is not None:
        return named
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def encodable(text: str) -> str:
    """`text` with lone surrogates written as escapes: what SQLite, JSON readers and sockets can take."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def long_string(raw: bytes) -> str | None:
    """The text in an array of CHAR, up to its first NUL; None when it is no printable UTF-8, or nothing."""
    head = raw.split(b"\0", 1)[0]
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text and all(c.isprintable() or c in "\t\r\n" for c in text) else None


def rfc3339(time_ns: int) -> str:
    """A time in UTC as RFC 3339 writes it, with nanoseconds; outside the years 1 to 9999 `@` and the seconds."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{_utc_second(seconds)}.{nanoseconds:09d}Z"


def local_clock(time_ns: int) -> str:
    """The time of day in the local time zone, to the millisecond: `14:02:11.482`."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{_local_second(seconds)}.{nanoseconds // 1_000_000:03d}"


@lru_cache(maxsize=256)
def _utc_second(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"@{seconds}"


@lru_cache(maxsize=256)
def _local_second(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).astimezone().strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"@{seconds}"


def duration(nanoseconds: int) -> str:
    """A duration in three or four digits and a unit, for people: `870 ns`, `12.4 us`, `1.03 ms`, `2.50 s`."""
    size = float(nanoseconds)
    for unit in ("ns", "us", "ms"):
        if abs(size) < 999.5:
            return f"{nanoseconds} ns" if unit == "ns" else f"{_three_digits(size)} {unit}"
        size /= 1000.0
    return f"{_three_digits(size)} s"


def _three_digits(size: float) -> str:
    if abs(size) < 9.995:
        return f"{size:.2f}"
    return f"{size:.1f}" if abs(size) < 99.95 else f"{size:.0f}"

"""Values of channels and records, and how they are written as JSON."""

from __future__ import annotations

import math
from typing import Any, Union

from epicsmon.text import long_string

Scalar = Union[int, float, str]
Value = Union[None, int, float, str, bytes, tuple[Scalar, ...]]
"""A value as put or as read: a scalar, a tuple for an array, bytes for an array of CHAR; None when not known."""

Json = Any
"""What `json.dumps` takes; NaN and infinities never appear in it."""


def value_to_json(value: Value) -> Json:
    """A value as JSON: NaN and infinities become "NaN", "Infinity", "-Infinity"; tuples become lists.

    Bytes become an object: "hex" holds them all, "text" the long string they spell up to the first NUL when they
    spell one.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(value)
    if isinstance(value, tuple):
        return [value_to_json(item) for item in value]
    if isinstance(value, bytes):
        text = long_string(value)
        return {"hex": value.hex()} if text is None else {"hex": value.hex(), "text": text}
    return value


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"

"""Values as SQLite keeps them, so that `WHERE value > 10` works and every value reads back as it was."""

from __future__ import annotations

import json
import math
from typing import Union

from epicsmon.events import Scalar, Value, value_to_json
from epicsmon.text import encodable

Cell = Union[None, int, float, str, bytes]

_INT64 = range(-(2**63), 2**63)


def to_cells(value: Value) -> tuple[Cell, str | None]:
    """The value and its type for the columns `value` and `value_type`.

    SQLite has no NaN (it becomes NULL of type float) and no integers beyond 64 bits (they become text of type int).
    An array is JSON: numbers as type array, strings as type strings.
    """
    if value is None:
        return None, None
    if isinstance(value, float):
        return (None if math.isnan(value) else value), "float"
    if isinstance(value, int):
        return (value if value in _INT64 else str(value)), "int"
    if isinstance(value, str):
        return encodable(value), "str"
    if isinstance(value, bytes):
        return value, "bytes"
    kind = "strings" if any(isinstance(item, str) for item in value) else "array"
    return json.dumps(value_to_json(value), allow_nan=False), kind


def from_cells(cell: Cell, kind: str | None) -> Value:
    """The value that `to_cells` wrote. Raises ValueError for cells it did not write."""
    if kind is None:
        return None
    if kind == "float" and (cell is None or isinstance(cell, (int, float))):
        return math.nan if cell is None else float(cell)
    if kind == "int" and isinstance(cell, (int, str)):
        return int(cell)
    if kind == "bytes" and isinstance(cell, bytes):
        return cell
    if isinstance(cell, str):
        if kind == "str":
            return cell
        if kind == "strings":
            return tuple(json.loads(cell))
        if kind == "array":
            return tuple(map(_number, json.loads(cell)))
    raise ValueError(f"no value of type {kind}: {cell!r}")


def _number(item: Scalar) -> Scalar:
    return float(item) if isinstance(item, str) else item

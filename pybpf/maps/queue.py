"""BPF_MAP_TYPE_QUEUE (Linux 4.20): values first in, first out."""

from __future__ import annotations

from typing import TypeVar

from pybpf.kernel.constants import MapType
from pybpf.maps.pushed import PushedMap

V = TypeVar("V")


class Queue(PushedMap[V]):
    """``max_entries`` values; the one pushed first is popped first."""

    map_type = MapType.QUEUE

"""BPF_MAP_TYPE_STACK (Linux 4.20): values last in, first out."""

from __future__ import annotations

from typing import TypeVar

from pybpf.kernel.constants import MapType
from pybpf.maps.pushed import PushedMap

V = TypeVar("V")


class Stack(PushedMap[V]):
    """``max_entries`` values; the one pushed last is popped first."""

    map_type = MapType.STACK

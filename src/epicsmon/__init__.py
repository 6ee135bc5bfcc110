"""Sees inside a running EPICS control system from the outside: who put what to which PV, why each record processed.

    from epicsmon import find_iocs, trace_processing, watch_puts

The names of ``__all__`` are imported from where they live when they are first asked for: importing this package alone
costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epicsmon.events import Chain, Endpoint, Gap, IocEvent, PutEvent, Span
    from epicsmon.ioc import Ioc, find_ioc, find_iocs
    from epicsmon.puts.live import watch_puts
    from epicsmon.store.query import Store
    from epicsmon.trace.live import trace_processing

__all__ = [
    "Chain",
    "Endpoint",
    "Gap",
    "Ioc",
    "IocEvent",
    "PutEvent",
    "Span",
    "Store",
    "find_ioc",
    "find_iocs",
    "trace_processing",
    "watch_puts",
]

_HOMES = {
    "Ioc": "epicsmon.ioc",
    "Store": "epicsmon.store.query",
    "find_ioc": "epicsmon.ioc",
    "find_iocs": "epicsmon.ioc",
    "trace_processing": "epicsmon.trace.live",
    "watch_puts": "epicsmon.puts.live",
}


if not TYPE_CHECKING:  # a checker sees the imports above, and that no other name is here

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES.get(name, "epicsmon.events")), name)

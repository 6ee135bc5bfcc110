"""Enough of libca through ctypes to put like any C client does: ca_create_channel, ca_array_put, ca_array_put_callback.

The library is the one of epicscorelibs; types and numbers are those of EPICS Base's cadef.h and db_access.h.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

from epicsmon.demo.softioc import find_library

ECA_NORMAL = 1
CONNECT_TIMEOUT_S = 5.0


class Dbr(IntEnum):
    """Types of values on the wire (db_access.h)."""

    STRING = 0
    ENUM = 3
    LONG = 5
    DOUBLE = 6


class CaError(RuntimeError):
    """A call of libca failed; carries the call and its ECA status."""

    def __init__(self, call: str, status: int) -> None:
        super().__init__(f"{call}: ECA status {status}")
        self.call = call
        self.status = status


class CaClient:
    """One CA client context with preemptive callbacks, used from the thread that made it. A context manager."""

    def __init__(self, home: Path) -> None:
        # libca links to libCom by its versioned name and finds it beside itself.
        ctypes.CDLL(str(find_library(home, "Com")), mode=ctypes.RTLD_GLOBAL)
        self._ca = ctypes.CDLL(str(find_library(home, "ca")))
        self._channels: dict[str, ctypes.c_void_p] = {}
        self._completed = threading.Event()
        # Kept for as long as libca may call it.
        self._on_completion = ctypes.CFUNCTYPE(None, _EventHandlerArgs)(self._complete)
        self._must("ca_context_create", ctypes.c_int(1))

    def put(self, pv: str, dbr: Dbr, values: Sequence[float] | str) -> None:
        """CA WRITE: sent, not awaited."""
        self._must("ca_array_put", *self._arguments(pv, dbr, values))
        self._must("ca_flush_io")

    def put_notify(self, pv: str, dbr: Dbr, values: Sequence[float] | str, timeout_s: float = 5.0) -> bool:
        """CA WRITE_NOTIFY: wait for the completion; False if it did not come within ``timeout_s``."""
        self._completed.clear()
        self._must("ca_array_put_callback", *self._arguments(pv, dbr, values), self._on_completion, None)
        self._must("ca_flush_io")
        return self._completed.wait(timeout_s)

    def close(self) -> None:
        """Clear the channels and end the context."""
        for channel in self._channels.values():
            self._ca.ca_clear_channel(channel)
        self._channels.clear()
        self._ca.ca_flush_io()
        self._ca.ca_context_destroy()

    def __enter__(self) -> CaClient:  # noqa: PYI034
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _channel(self, pv: str) -> ctypes.c_void_p:
        if pv not in self._channels:
            channel = ctypes.c_void_p()
            self._must("ca_create_channel", pv.encode(), None, None, ctypes.c_uint(0), ctypes.byref(channel))
            self._must("ca_pend_io", ctypes.c_double(CONNECT_TIMEOUT_S))
            self._channels[pv] = channel
        return self._channels[pv]

    def _arguments(self, pv: str, dbr: Dbr, values: Sequence[float] | str) -> tuple[object, ...]:
        channel = self._channel(pv)
        data: ctypes.Array[ctypes.c_char] | ctypes.Array[ctypes.c_double] | ctypes.Array[ctypes.c_int32]
        data = ctypes.create_string_buffer(40)
        count = 1
        if isinstance(values, str):
            data.raw = values.encode()[:39].ljust(40, b"\0")
        elif dbr is Dbr.DOUBLE:
            count = len(values)
            data = (ctypes.c_double * count)(*values)
        elif dbr is Dbr.LONG:
            count = len(values)
            data = (ctypes.c_int32 * count)(*(int(v) for v in values))
        else:
            data = ctypes.create_string_buffer(int(values[0]).to_bytes(2, "little"))
        return ctypes.c_long(dbr), ctypes.c_ulong(count), channel, data

    def _complete(self, _args: object) -> None:
        self._completed.set()

    def _must(self, call: str, *arguments: object) -> None:
        status = getattr(self._ca, call)(*arguments)
        if status != ECA_NORMAL:
            raise CaError(call, status)


class _EventHandlerArgs(ctypes.Structure):
    """``struct event_handler_args`` of cadef.h, passed by value to the completion callback."""

    _fields_ = [
        ("usr", ctypes.c_void_p),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("dbr", ctypes.c_void_p),
        ("status", ctypes.c_int),
    ]

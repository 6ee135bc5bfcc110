"""A real libca client in its own process, obeying JSON lines: the commands that tests/support/clients.py sends."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import pwd
import socket
import sys
import time
from typing import Any

import epics

TIMEOUT = 10.0


def channel(pvs: dict[str, epics.PV], name: str) -> epics.PV:
    """Return the connected channel ``name``, created at its first use."""
    if name not in pvs:
        pvs[name] = epics.PV(name, auto_monitor=False)
    if not pvs[name].wait_for_connection(TIMEOUT):
        raise TimeoutError(f"{name}: no connection")
    return pvs[name]


def obey(pvs: dict[str, epics.PV], order: dict[str, Any]) -> dict[str, Any]:
    """Do one order and return what is known of it."""
    what, name = order["do"], order.get("pv", "")
    if what == "connect":
        channel(pvs, name)
        return {}
    if what == "get":
        value = channel(pvs, name).get(timeout=TIMEOUT)
        return {"value": value.tolist() if hasattr(value, "tolist") else value}
    if what == "put":
        pv, before = channel(pvs, name), time.time_ns()
        pv.put(order["value"], wait=order["notify"], timeout=TIMEOUT)
        epics.ca.flush_io()
        return {"before_ns": before, "after_ns": time.time_ns()}
    if what == "put_raw":
        # ca_array_put as a C program calls it: any DBR type with any count, in host byte order.
        pv, data = channel(pvs, name), base64.b64decode(order["data"])
        chid = ctypes.c_void_p(getattr(pv.chid, "value", pv.chid))
        before = time.time_ns()
        status = epics.ca.libca.ca_array_put(ctypes.c_long(order["type"]), ctypes.c_ulong(order["count"]), chid, data)
        epics.ca.flush_io()
        return {"before_ns": before, "after_ns": time.time_ns(), "status": status}
    if what == "burst":
        pv, before = channel(pvs, name), time.time_ns()
        for value in range(order["count"]):
            epics.ca.put(pv.chid, value, wait=False)
        epics.ca.flush_io()
        # A get on the same circuit is answered after every write before it.
        epics.ca.get(pv.chid, timeout=TIMEOUT)
        return {"before_ns": before, "after_ns": time.time_ns()}
    if what == "drop":
        epics.ca.clear_channel(pvs.pop(name).chid)
        epics.ca.flush_io()
        return {}
    raise ValueError(what)


def main() -> None:
    """Answer one line per line of stdin; end with it."""
    pvs: dict[str, epics.PV] = {}
    epics.ca.initialize_libca()
    # libca says who getpwuid(getuid()) is (Base's osdProcess.c), whatever the environment says.
    user = pwd.getpwuid(os.getuid()).pw_name
    print(json.dumps({"host": socket.gethostname(), "user": user}), flush=True)
    for line in iter(sys.stdin.readline, ""):
        try:
            answer = obey(pvs, json.loads(line))
        except Exception as error:  # noqa: BLE001 - the test that asked gets to see whatever went wrong
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    for pv in pvs.values():
        pv.disconnect()
    epics.ca.finalize_libca()


if __name__ == "__main__":
    main()

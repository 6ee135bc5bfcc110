"""A caproto client (no libca) in its own process, obeying JSON lines: the commands of tests/support/clients.py."""

from __future__ import annotations

import base64
import getpass
import json
import socket
import struct
import sys
import time
from typing import Any

from caproto import ChannelType
from caproto.threading.client import PV, Context

TIMEOUT = 10.0


CODES = {1: "h", 2: "f", 3: "H", 5: "i", 6: "d"}
STRING, STRING_SIZE = 0, 40


def values_of(data_type: int, data: bytes) -> bytes | list[Any]:
    """Return the payload as caproto takes it: bytes for CHAR, else a list of values that it encodes itself."""
    if data_type == STRING:
        return [data[at : at + STRING_SIZE].rstrip(b"\0") for at in range(0, len(data), STRING_SIZE)]
    code = CODES.get(data_type)
    return data if code is None else [value for (value,) in struct.iter_unpack(f">{code}", data)]


class Client:
    """The channels of one context, each created at its first use."""

    def __init__(self) -> None:
        self.context = Context()
        self.pvs: dict[str, PV] = {}

    def channel(self, name: str) -> PV:
        """Return the connected channel ``name``."""
        if name not in self.pvs:
            (self.pvs[name],) = self.context.get_pvs(name, timeout=TIMEOUT)
        self.pvs[name].wait_for_connection(timeout=TIMEOUT)
        return self.pvs[name]

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do one order and return what is known of it."""
        what, name = order["do"], order.get("pv", "")
        if what == "connect":
            self.channel(name)
            return {}
        if what == "get":
            data = self.channel(name).read(timeout=TIMEOUT).data
            items = data.tolist() if hasattr(data, "tolist") else data
            values = [item.decode("latin-1") if isinstance(item, bytes) else item for item in items]
            return {"value": values[0] if len(values) == 1 else values}
        if what == "put":
            pv, before = self.channel(name), time.time_ns()
            pv.write(order["value"], wait=order["notify"], notify=order["notify"], timeout=TIMEOUT)
            return {"before_ns": before, "after_ns": time.time_ns()}
        if what == "put_raw":
            pv, before = self.channel(name), time.time_ns()
            data = values_of(order["type"], base64.b64decode(order["data"]))
            pv.write(data, wait=False, notify=False, data_type=ChannelType(order["type"]), data_count=order["count"])
            return {"before_ns": before, "after_ns": time.time_ns()}
        if what == "burst":
            pv, before = self.channel(name), time.time_ns()
            for value in range(order["count"]):
                pv.write(value, wait=False, notify=False)
            pv.read(timeout=TIMEOUT)
            return {"before_ns": before, "after_ns": time.time_ns()}
        if what == "drop":
            self.pvs.pop(name).go_idle()
            return {}
        raise ValueError(what)


def main() -> None:
    """Answer one line per line of stdin; end with it."""
    client = Client()
    print(json.dumps({"host": socket.gethostname(), "user": getpass.getuser()}), flush=True)
    for line in iter(sys.stdin.readline, ""):
        try:
            answer = client.obey(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the test that asked gets to see whatever went wrong
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    client.context.disconnect()


if __name__ == "__main__":
    main()

"""A CA server that is no Base: caproto, pure Python. Prints one JSON line for each put it accepted."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

from caproto import ChannelByte, ChannelDouble, ChannelEnum, ChannelInteger, ChannelString
from caproto.asyncio.server import Context


def announcing(kind: type, name: str, **arguments: Any) -> Any:
    """Return a channel of ``kind`` that prints each value it accepts."""

    class Announcing(kind):  # type: ignore[misc]
        async def write(self, value: Any, **metadata: Any) -> Any:
            result = await super().write(value, **metadata)
            data = self.value
            print(json.dumps({"pv": name, "value": data.tolist() if hasattr(data, "tolist") else data}), flush=True)
            return result

    return Announcing(**arguments)


def database(prefix: str) -> dict[str, Any]:
    """Return one channel of each kind a test may put to."""
    kinds: dict[str, tuple[type, dict[str, Any]]] = {
        "int": (ChannelInteger, {"value": 0}),
        "double": (ChannelDouble, {"value": 0.0}),
        "string": (ChannelString, {"value": "", "string_encoding": "latin-1"}),
        "enum": (ChannelEnum, {"value": "off", "enum_strings": ["off", "on"]}),
        "bytes": (ChannelByte, {"value": b"", "max_length": 64}),
        "wave": (ChannelDouble, {"value": [0.0] * 16, "max_length": 40_000}),
    }
    return {f"{prefix}{name}": announcing(kind, f"{prefix}{name}", **args) for name, (kind, args) in kinds.items()}


async def serve() -> None:
    """Serve on loopback until stdin ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    context = Context(database(sys.argv[1]), interfaces=["127.0.0.1"])
    serving = asyncio.ensure_future(context.run(log_pv_names=False, startup_hook=announce_ready))
    threading.Thread(target=wait_for_end, daemon=True).start()
    await ended.wait()
    serving.cancel()
    await asyncio.wait([serving])


async def announce_ready(_async_library: Any) -> None:
    """Say that the server listens."""
    print("READY", flush=True)


if __name__ == "__main__":
    asyncio.run(serve())

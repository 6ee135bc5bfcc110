"""Puts, and the two ends of the circuits they come by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from epicsmon.events.values import Json, Value, value_to_json
from epicsmon.text import rfc3339


class Provenance(str, Enum):
    """Where a field of an event was learned."""

    WIRE = "wire"
    MEMORY = "memory"
    PROBE = "probe"
    PROC = "proc"


@dataclass(frozen=True)
class Endpoint:
    """One end of a circuit: an IP address in text and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """The endpoint that `str` wrote. Raises ValueError when there is no port."""
        host, colon, port = text.rpartition(":")
        if not colon:
            raise ValueError(f"no port in {text!r}")
        return cls(host.strip("[]"), int(port))


@dataclass(frozen=True)
class PutEvent:
    """One put as a client asked for it: CA_PROTO_WRITE, or CA_PROTO_WRITE_NOTIFY when `notify`.

    `user` and `host` are what the client declared of itself, `client` is what was observed. `sid` and `cid` are the
    server's and the client's number of the channel on this circuit, `ioid` the client's number of a put with
    notification. `namespace` is the inode of the network namespace the packet was seen in.
    """

    time_ns: int
    pv: str | None
    pv_source: Provenance | None
    value: Value
    dbr_type: int
    count: int
    notify: bool
    client: Endpoint
    server: Endpoint
    user: str | None
    host: str | None
    sid: int
    cid: int | None = None
    ioid: int | None = None
    namespace: int | None = None

    def to_json(self) -> dict[str, Json]:
        """The event under stable names; `pv` is null for a channel whose name is not known."""
        return {
            "event": "put",
            "time": rfc3339(self.time_ns),
            "time_ns": self.time_ns,
            "pv": self.pv,
            "pv_source": None if self.pv_source is None else self.pv_source.value,
            "value": value_to_json(self.value),
            "dbr_type": self.dbr_type,
            "count": self.count,
            "notify": self.notify,
            "client": str(self.client),
            "server": str(self.server),
            "user": self.user,
            "host": self.host,
            "sid": self.sid,
            "cid": self.cid,
            "ioid": self.ioid,
            "namespace": self.namespace,
        }

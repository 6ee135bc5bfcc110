"""One Channel Access circuit, as its messages tell it: who the client says it is, its channels, its puts.

Pure state: messages in, events out. `request` and `reply` have the form of `framer.OnMessage`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Union

from epicsmon.ca.commands import Command
from epicsmon.ca.dbr import DbrType, decode_value
from epicsmon.ca.header import Buffer
from epicsmon.ca.plausible import MAX_TEXT
from epicsmon.events import Endpoint, Gap, Provenance, PutEvent, Value
from epicsmon.puts.channels import Channel, Channels
from epicsmon.puts.stream import Stream
from epicsmon.text import decode

PutOrGap = Union[PutEvent, Gap]
"""What a put log is made of."""

# Compared for every message: plain names of plain integers.
_WRITE, _WRITE_NOTIFY = int(Command.WRITE), int(Command.WRITE_NOTIFY)
_CHAR = int(DbrType.CHAR)
_PUTS = (_WRITE_NOTIFY, _WRITE)
_WIRE = Provenance.WIRE


class CircuitCounters:
    """What the circuits of one tracker have seen."""

    __slots__ = ("damaged", "puts", "unnamed")

    def __init__(self) -> None:
        self.puts = 0
        self.unnamed = 0
        self.damaged = 0


class Circuit:
    """The state of one circuit; a client has one for each priority it uses towards a server.

    `user` and `host` are what the client declared, None before it did or when that was not seen.
    """

    __slots__ = (
        "_counters",
        "_begun",
        "_begun_channel",
        "_emit",
        "_replies",
        "_requests",
        "channels",
        "client",
        "client_minor",
        "host",
        "namespace",
        "priority",
        "server",
        "server_minor",
        "user",
    )

    def __init__(
        self,
        client: Endpoint,
        server: Endpoint,
        requests: Stream,
        replies: Stream,
        namespace: int | None,
        channels: Channels,
        emit: Callable[[PutOrGap], None],
        counters: CircuitCounters,
    ) -> None:
        self.client = client
        self.server = server
        self.namespace = namespace
        self.channels = channels
        self.user: str | None = None
        self.host: str | None = None
        self.priority: int | None = None
        self.client_minor: int | None = None
        self.server_minor: int | None = None
        self._requests = requests
        self._replies = replies
        self._emit = emit
        self._begun = False
        self._begun_channel: Channel | None = None
        self._counters = counters

    def request(
        self,
        time_ns: int,
        command: int,
        data_type: int,
        count: int,
        p1: int,
        p2: int,
        data: Buffer,
        offset: int,
        size: int,
    ) -> None:
        """A message of the client."""
        if command in _PUTS:
            channel = self._channel(p1)
            if data_type == _CHAR and channel is not None and channel.long_string:
                value: Value = decode(bytes(data[offset : offset + min(size, count)]))
            else:
                value = decode_value(data_type, count, data, offset, size)
            self._put(time_ns, command, data_type, count, p1, p2, channel, value)
        elif command == Command.CREATE_CHAN:
            name = decode(bytes(data[offset : offset + size])) if 0 < size <= MAX_TEXT else None
            self.channels.requested(p1, name or None)
        elif command == Command.CLEAR_CHANNEL:
            self.channels.forget_sid(p1)
        elif command == Command.CLIENT_NAME:
            # As Base does: ignored once there are channels.
            if not len(self.channels):
                self.user = decode(bytes(data[offset : offset + min(size, MAX_TEXT)]))
        elif command == Command.HOST_NAME:
            if not len(self.channels):
                self.host = decode(bytes(data[offset : offset + min(size, MAX_TEXT)]))
        elif command == Command.VERSION:
            self.priority = data_type
            self.client_minor = count

    def reply(
        self,
        time_ns: int,
        command: int,
        data_type: int,
        count: int,
        p1: int,
        p2: int,
        data: Buffer,
        offset: int,
        size: int,
    ) -> None:
        """A message of the server."""
        if command == Command.CREATE_CHAN:
            self.channels.created(p1, p2, requests_unseen=self._requests.unseen() > 0)
        elif command == Command.CLEAR_CHANNEL:
            self.channels.forget_sid(p1)
        elif command == Command.CREATE_CH_FAIL:
            self.channels.refused(p1)
        elif command == Command.SERVER_DISCONN:
            self.channels.disconnected(p1)
        elif command == Command.VERSION:
            self.server_minor = count

    def begun_request(self, command: int, p1: int) -> None:
        """A message of the client has begun; by its end the server may have given the SID to another channel."""
        if command in _PUTS:
            self._begun = True
            self._begun_channel = self._channel_now(p1)

    def damaged_request(
        self, time_ns: int, command: int, data_type: int, count: int, p1: int, p2: int, size: int
    ) -> None:
        """A message of the client of which only the header is known: a put without value, a channel without name."""
        if command in _PUTS:
            self._counters.damaged += 1
            self._put(time_ns, command, data_type, count, p1, p2, self._channel(p1), None)
        elif command == Command.CREATE_CHAN:
            self.channels.requested(p1, None)
        elif command == Command.CLIENT_NAME and not len(self.channels):
            self.user = None
        elif command == Command.HOST_NAME and not len(self.channels):
            self.host = None

    def damaged_reply(
        self, time_ns: int, command: int, data_type: int, count: int, p1: int, p2: int, size: int
    ) -> None:
        """A message of the server of which only the header is known: no reply followed here has a payload."""

    def requests_lost(self) -> None:
        """Whole messages of the client may have been lost."""
        if not self.channels:
            # The names may have been declared in what was lost, or declared again.
            self.user = self.host = None
        self.channels.requests_lost()

    def replies_lost(self) -> None:
        """Whole messages of the server may have been lost."""
        self.channels.replies_lost()

    def _channel(self, sid: int) -> Channel | None:
        if self._begun:
            self._begun = False
            return self._begun_channel
        return self._channel_now(sid)

    def _channel_now(self, sid: int) -> Channel | None:
        """The channel that the client means, unless it has received replies that may change that and were not seen."""
        replies = self._replies
        channels = self.channels
        if replies.acked != replies.wanted and channels.rely_on_replies() and replies.unseen():
            return None
        return channels.by_sid.get(sid)

    def _put(
        self,
        time_ns: int,
        command: int,
        data_type: int,
        count: int,
        p1: int,
        p2: int,
        channel: Channel | None,
        value: Value,
    ) -> None:
        """Report a put. The parameter 2 of a WRITE is the CID only when libca sent it; caproto sends an IOID there."""
        name = cid = None
        if channel is not None:
            name = channel.name
            cid = channel.cid
        counters = self._counters
        counters.puts += 1
        if name is None:
            counters.unnamed += 1
        self._emit(
            PutEvent(
                time_ns,
                name,
                None if name is None else _WIRE,
                value,
                data_type,
                count,
                command == _WRITE_NOTIFY,
                self.client,
                self.server,
                self.user,
                self.host,
                p1,
                cid,
                p2 if command == _WRITE_NOTIFY else None,
                self.namespace,
            )
        )

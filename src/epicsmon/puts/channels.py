"""The channels of one circuit: which name a SID has now. Never a wrong name; rather none.

A name is in the CREATE_CHAN request under the client's CID, the server's SID in the reply to it. Both numbers may be
used again after CLEAR_CHANNEL, CREATE_CH_FAIL or SERVER_DISCONN (EPICS Base rsrv/camessage.c, ca/client/cac.cpp), so a
loss makes names doubtful:

- Replies were lost while requests were unanswered: a lost reply may have given any freed SID a new meaning, so the
  names of all answered channels are forgotten. The same when requests had been lost before, since one of those may
  have been what was answered.
- Requests were lost after replies were: a CID that seems unanswered may have been answered, freed and claimed again, so
  the names of unanswered requests are forgotten.
- One direction alone loses nothing else of importance: a reply of which the request was lost names no channel but
  takes the SID from the one that had it.

A server answers the requests of one circuit in their order, so an answer to a later request ends a doubt about earlier
ones.
"""

from __future__ import annotations

from epicsmon.puts.limits import Budget

_COST = 400
"""What a channel costs in Python beside its name, roughly: the object, its numbers, two entries of dictionaries."""


class Channel:
    """A channel as the wire shows it; `name` is None when its request was not seen or cannot be trusted.

    `long_string` says that arrays of CHAR are text here: the field name ends with `$` (Base 3.14.11 and later).
    """

    __slots__ = ("cid", "cost", "long_string", "name", "serial", "sid")

    def __init__(self, name: str | None, cid: int, serial: int) -> None:
        self.name = name
        self.cid = cid
        self.sid: int | None = None
        self.long_string = name is not None and names_long_string(name)
        self.serial = serial
        self.cost = _COST + len(name or "")


def names_long_string(name: str) -> bool:
    """Whether the field is asked for as a long string: `$` at its end, before any filters in JSON."""
    return name.partition("{")[0].rstrip().endswith("$")


class Channels:
    """The channels of one circuit by SID and by CID. At most `limit`; beyond, the oldest are forgotten."""

    __slots__ = (
        "_budget",
        "_by_cid",
        "_held",
        "_limit",
        "_replies_lost_at",
        "_requests_lost_at",
        "_serial",
        "_unanswered",
        "by_sid",
    )

    def __init__(self, limit: int, budget: Budget) -> None:
        self.by_sid: dict[int, Channel] = {}
        self._by_cid: dict[int, Channel] = {}
        self._unanswered: dict[int, Channel] = {}
        self._limit = limit
        self._budget = budget
        self._held = 0
        self._serial = 0
        self._requests_lost_at: int | None = None
        self._replies_lost_at: int | None = None

    def __len__(self) -> int:
        """How many channels are known, answered or not."""
        return len(self.by_sid) + len(self._unanswered)

    @property
    def held(self) -> int:
        """The bytes of memory they take, roughly."""
        return self._held

    def requested(self, cid: int, name: str | None) -> None:
        """The client asks for a channel. `name` is None when the request was damaged."""
        self._drop(self._unanswered.pop(cid, None))
        if len(self) >= self._limit:
            self._forget_oldest()
        self._serial += 1
        self._unanswered[cid] = self._keep(Channel(name, cid, self._serial))

    def created(self, cid: int, sid: int, requests_unseen: bool = False) -> None:
        """The server has given the channel a SID. `requests_unseen`: it has received more than was captured."""
        self.forget_sid(sid)
        channel = self._unanswered.pop(cid, None)
        if channel is not None and requests_unseen and self._replies_lost_at is not None:
            self._drop(channel)
            channel = None
        if channel is None:
            if len(self) >= self._limit:
                self._forget_oldest()
            channel = self._keep(Channel(None, cid, 0))
        else:
            self._answered(channel.serial)
        channel.sid = sid
        self.by_sid[sid] = channel
        self._by_cid[cid] = channel

    def refused(self, cid: int) -> None:
        """The server has no such channel: CREATE_CH_FAIL."""
        channel = self._unanswered.pop(cid, None)
        if channel is not None:
            self._answered(channel.serial)
            self._drop(channel)

    def disconnected(self, cid: int) -> None:
        """The server has taken the channel away: SERVER_DISCONN."""
        channel = self._by_cid.get(cid)
        if channel is not None and channel.sid is not None:
            self.forget_sid(channel.sid)

    def forget_sid(self, sid: int) -> None:
        """The SID means nothing any more: CLEAR_CHANNEL, from either side."""
        channel = self.by_sid.pop(sid, None)
        if channel is not None:
            if self._by_cid.get(channel.cid) is channel:
                del self._by_cid[channel.cid]
            self._drop(channel)

    def requests_lost(self) -> None:
        """Whole messages of the client may have been lost."""
        self._requests_lost_at = self._serial
        if self._replies_lost_at is not None:
            self._replies_lost_at = None
            for cid in list(self._unanswered):
                self._drop(self._unanswered.pop(cid))

    def rely_on_replies(self) -> bool:
        """Whether a name may be wrong as long as some replies were not seen."""
        return bool(self._unanswered) or self._requests_lost_at is not None

    def replies_lost(self) -> None:
        """Whole messages of the server may have been lost."""
        if self.rely_on_replies():
            for channel in self.by_sid.values():
                self._drop(channel)
            self.by_sid.clear()
            self._by_cid.clear()
        if self._unanswered:
            self._replies_lost_at = self._serial

    def clear(self) -> None:
        """Forget all of them, and that anything was lost."""
        self.by_sid.clear()
        self._by_cid.clear()
        self._unanswered.clear()
        self._requests_lost_at = self._replies_lost_at = None
        self._budget.used -= self._held
        self._held = 0

    def _answered(self, serial: int) -> None:
        """The request with this serial number was answered, so all earlier ones were."""
        if self._requests_lost_at is not None and serial > self._requests_lost_at:
            self._requests_lost_at = None
        if self._replies_lost_at is not None:
            stale = [cid for cid, channel in self._unanswered.items() if channel.serial < serial]
            for cid in stale:
                self._drop(self._unanswered.pop(cid))
            if serial > self._replies_lost_at or not self._unanswered:
                self._replies_lost_at = None

    def _keep(self, channel: Channel) -> Channel:
        self._held += channel.cost
        self._budget.used += channel.cost
        return channel

    def _drop(self, channel: Channel | None) -> None:
        if channel is not None:
            self._held -= channel.cost
            self._budget.used -= channel.cost

    def _forget_oldest(self) -> None:
        if self.by_sid:
            self.forget_sid(next(iter(self.by_sid)))
        else:
            self._drop(self._unanswered.pop(next(iter(self._unanswered))))

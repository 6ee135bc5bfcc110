"""How much memory and patience the put log spends on a circuit and on all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds; whatever goes beyond one is dropped and counted, or forgotten and shown as unknown.

    Sizes are bytes, times nanoseconds. `memory` bounds what all circuits hold together (unfinished messages, segments
    that wait for others, names of channels), `message` the payload of one put; `waiting_segments` and `waiting_bytes`
    bound what waits behind a hole of one direction, `patience_ns` for how long; `search_bytes` is how far a stream
    without a known beginning is searched for headers before what was searched is given up. A connection that is over
    is remembered for `linger_ns`, so that late duplicates of its segments are known as such.
    """

    memory: int = 128 << 20
    message: int = 16 << 20
    circuits: int = 8_192
    channels: int = 262_144
    waiting_segments: int = 512
    waiting_bytes: int = 4 << 20
    patience_ns: int = 1_000_000_000
    linger_ns: int = 10_000_000_000
    search_bytes: int = 128 << 10
    other_flows: int = 65_536


class Budget:
    """What all the circuits of one tracker hold together, in bytes."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @property
    def exceeded(self) -> bool:
        """Whether something must go."""
        return self.used > self.limit

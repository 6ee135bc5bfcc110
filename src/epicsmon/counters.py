"""Counting what came into a stage and what became of it: nothing disappears uncounted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """One stage's count of events; at rest `seen == delivered + filtered + lost`."""

    seen: int = 0
    delivered: int = 0
    filtered: int = 0
    lost: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every event that was seen is accounted for."""
        return self.seen == self.delivered + self.filtered + self.lost

    def to_json(self) -> dict[str, int]:
        """The counts under stable names."""
        return {"seen": self.seen, "delivered": self.delivered, "filtered": self.filtered, "lost": self.lost}

"""Which events a person asked for: globs over names, negated by a leading `!`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Protocol

from epicsmon.events import Chain, Event, PutEvent, Span


class EventFilter(Protocol):
    """Decides which events go on; gaps and IOC events always do and are never asked about."""

    def accepts(self, event: Event) -> bool:
        """Whether the event goes on."""


class NameFilter:
    """Globs over PV or record names, in the case given: at least one of the plain ones (if there are any) and none of
    those with a leading `!` must match.

    A glob without a dot is also held against the name without its field, so that `HV:RAMP` finds puts to
    `HV:RAMP.VAL`. A channel whose name is not known matches no glob: with plain ones it is left out, and
    `unknown_filtered` counts it. A chain goes on when one of its records would.
    """

    def __init__(self, globs: Sequence[str]) -> None:
        self.unknown_filtered = 0
        self._wanted = [_Glob(glob) for glob in globs if not glob.startswith("!")]
        self._unwanted = [_Glob(glob[1:]) for glob in globs if glob.startswith("!")]

    def accepts(self, event: Event) -> bool:
        """Whether the event goes on."""
        if isinstance(event, PutEvent):
            accepted = self.accepts_name(event.pv)
            if not accepted and event.pv is None:
                self.unknown_filtered += 1
            return accepted
        if isinstance(event, Chain):
            return any(self.accepts_name(span.record) for span in event.spans)
        return self.accepts_name(event.record) if isinstance(event, Span) else True

    def accepts_name(self, name: str | None) -> bool:
        """Whether events of this PV or record go on."""
        if name is None:
            return not self._wanted
        if any(glob.matches(name) for glob in self._unwanted):
            return False
        return not self._wanted or any(glob.matches(name) for glob in self._wanted)


class _Glob:
    def __init__(self, glob: str) -> None:
        self._match = re.compile(translate(glob)).match
        self._with_field = "." in glob

    def matches(self, name: str) -> bool:
        if self._match(name):
            return True
        return not self._with_field and "." in name and self._match(name.split(".", 1)[0]) is not None

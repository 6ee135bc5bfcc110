"""The queue between a source and one sink: bounded, and it says no instead of growing."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from epicsmon.events import Event


class BoundedQueue:
    """First in, first out, at most `limit` events; one thread offers and one takes.

    A full queue makes the offering thread wait, at most `patience_s`: long enough for a sink that is only not
    scheduled, short beside what the kernel's ring holds. A sink that is really stuck costs that wait once; until it
    moves again events are refused at once.
    """

    def __init__(self, limit: int, patience_s: float = 0.05) -> None:
        self._limit = limit
        self._patience_s = patience_s
        self._events: deque[Event] = deque()
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._stuck = False
        self._closed = False

    def __len__(self) -> int:
        return len(self._events)

    def offer(self, event: Event) -> bool:
        """Adds an event; False when there is no room or nobody takes any more."""
        with self._lock:
            if len(self._events) >= self._limit and not self._closed and not self._stuck:
                self._stuck = not self._emptied.wait_for(self._has_room, self._patience_s)
            if self._closed or len(self._events) >= self._limit:
                return False
            self._stuck = False
            self._events.append(event)
            if len(self._events) == 1:
                self._filled.notify()
            return True

    def _has_room(self) -> bool:
        return self._closed or len(self._events) < self._limit

    def take(self, most: int) -> list[Event]:
        """Waits for events and removes up to `most`; empty only after `close` when all are taken."""
        with self._lock:
            self._filled.wait_for(lambda: self._events or self._closed)
            batch = [self._events.popleft() for _ in range(min(most, len(self._events)))]
            self._emptied.notify()
            return batch

    def close(self, last: Sequence[Event] = ()) -> None:
        """Adds the `last` events whatever the limit, then refuses any; what is queued can still be taken."""
        with self._lock:
            self._events.extend(last)
            self._closed = True
            self._filled.notify()
            self._emptied.notify()

    def discard(self) -> list[Event]:
        """Closes, and removes and returns what nobody took."""
        with self._lock:
            self._closed = True
            left = list(self._events)
            self._events.clear()
            self._filled.notify()
            self._emptied.notify()
            return left

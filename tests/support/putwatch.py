"""The live put log in a thread of its own, as a test wants it: what has come since it last asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from epicsmon.events import Event, Gap, PutEvent
from epicsmon.puts.live import PutSource, watch_puts


class PutWatch:
    """Watches the puts of the network namespace of the thread that enters it. A context manager.

    ``delay`` is called before each event is taken, by the thread that takes them: a slow reader.
    """

    def __init__(self, *, delay: Callable[[], object] | None = None, **options: Any) -> None:
        self.source: PutSource = watch_puts(**options)
        self.gaps: list[Gap] = []
        self.arrived_ns: list[int] = []
        self._delay = delay
        self._puts: list[PutEvent] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._cleanup = ExitStack()

    def take(self, count: int, patience_s: float = 10.0, quiet_s: float = 0.06) -> list[PutEvent]:
        """The puts since the last call: waits for ``count`` of them and a moment more, so that one too many shows."""
        end = time.monotonic() + patience_s
        while len(self._puts) < count and time.monotonic() < end and self._thread.is_alive():
            time.sleep(0.005)
        time.sleep(quiet_s)
        if self._failure is not None:
            raise self._failure
        taken, self._puts = self._puts, []
        self.arrived_ns = self.arrived_ns[len(taken) :]
        return taken

    @property
    def latest(self) -> PutEvent | None:
        """The put that came last and was not taken yet."""
        puts = self._puts
        return puts[-1] if puts else None

    def wait_for(self, condition: Callable[[], bool], patience_s: float = 10.0) -> None:
        """Wait until it is so; AssertionError when it never is."""
        end = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.005)

    def stop(self) -> float:
        """End the iteration; returns the seconds that took."""
        begun = time.monotonic()
        self.source.stop()
        self._thread.join(30)
        took = time.monotonic() - begun
        assert not self._thread.is_alive(), "the source did not stop"
        if self._failure is not None:
            raise self._failure
        return took

    def _run(self) -> None:
        try:
            for event in self.source:
                if self._delay is not None:
                    self._delay()
                self._note(event)
        except BaseException as failure:  # noqa: BLE001 - raised again in the thread of the test
            self._failure = failure

    def _note(self, event: Event) -> None:
        if isinstance(event, PutEvent):
            self.arrived_ns.append(time.time_ns())
            self._puts.append(event)
        elif isinstance(event, Gap):
            self.gaps.append(event)

    def __enter__(self) -> PutWatch:
        with ExitStack() as undo:
            undo.enter_context(self.source)
            self._thread.start()
            undo.callback(self.stop)
            self._cleanup = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._cleanup.close()

"""`epicsmon demo`: both jobs on the demo's control system, then what they saw, held against what the clients did."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from epicsmon.agent.pipeline import Pipeline, Report
from epicsmon.demo.check import CheckResult, check_chains, check_puts
from epicsmon.demo.keep import KeepSink
from epicsmon.demo.system import PREFIX, DemoSystem
from epicsmon.events import Chain, Event, PutEvent
from epicsmon.sinks.style import Style
from epicsmon.sinks.text import TextSink
from epicsmon.sinks.tracefile import TraceFileSink
from epicsmon.sinks.tree import TreeSink
from epicsmon.store.sqlite import StoreSink

if TYPE_CHECKING:
    from epicsmon.sinks.base import Sink

PUTS_SHOWN = 12
SETTLE_S = 0.5
"""After the last put: the readers look every 20 ms, and a put without notification is still on its way."""


class OfServer:
    """Lets puts to one server's port through: other CA traffic of this host is not the demo's."""

    def __init__(self, port: int) -> None:
        self._port = port

    def accepts(self, event: Event) -> bool:
        """Whether the event goes on."""
        return not isinstance(event, PutEvent) or event.server.port == self._port


class Watch:
    """One source running into sinks in a thread of its own; the source is opened here, so that a refusal is known."""

    def __init__(
        self, source: AbstractContextManager[Iterable[Event]], sinks: list[Sink], accept: OfServer | None = None
    ) -> None:
        self.report: Report | None = None
        self._failure: BaseException | None = None
        with ExitStack() as undo:
            self._pipeline = undo.enter_context(Pipeline(sinks, accept=accept))
            events = undo.enter_context(source)
            self._thread = threading.Thread(target=self._run, args=(events,), daemon=True)
            self._cleanup = undo.pop_all()
        self._thread.start()

    def _run(self, events: Iterable[Event]) -> None:
        try:
            self.report = self._pipeline.run(events)
        except BaseException as error:  # noqa: BLE001 - raised again by finish(), in the thread of the demo
            self._failure = error

    def finish(self) -> Report:
        """End the source, wait for the sinks, return the account. Raises what the source raised."""
        self._pipeline.stop()
        self._thread.join()
        self._cleanup.close()
        if self._failure is not None:
            raise self._failure
        assert self.report is not None
        return self.report

    def abandon(self) -> None:
        """End it after something else has failed."""
        self._pipeline.stop()
        self._thread.join()
        self._cleanup.close()


def run_demo(folder: Path | None, duration_s: float, out: TextIO, err: TextIO) -> bool:
    """Run the demo; True only if every put of the clients was logged and their chains were traced whole.

    Files go to ``folder`` (a new one if None). Ctrl-C ends it early, and it still shows what it saw.

    Raises:
        DemoUnavailable: epicscorelibs is not installed, or its IOC did not start.
        PermissionDenied, UnsupportedFeature: this user or this kernel cannot watch.
    """
    from epicsmon.puts.live import watch_puts
    from epicsmon.trace.live import trace_processing

    folder = Path(tempfile.mkdtemp(prefix="epicsmon-demo-")) if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    store, spans = folder / "store.db", folder / "spans.jsonl"
    kept = KeepSink()
    with DemoSystem(folder / "system") as system, ExitStack() as undo:
        begun = time.monotonic()
        puts = Watch(watch_puts(), [kept, StoreSink(store)], OfServer(system.port))
        undo.callback(puts.abandon)
        chains = Watch(trace_processing(iocs=[system.ioc_pid]), [kept.twin(), StoreSink(store), TraceFileSink(spans)])
        undo.callback(chains.abandon)
        live_s = time.monotonic() - begun
        _say(err, f"IOC {system.ioc_pid} on port {system.port}, both monitors live after {live_s:.2f} s")
        clients = system.start_clients()
        _say(err, f"clients {', '.join(map(str, clients))} put to it for {duration_s:g} s")
        with _progress(err, duration_s) as advance:
            _wait(duration_s, lambda elapsed: advance(elapsed, kept.puts_seen, kept.chains_seen))
        system.stop_clients()
        time.sleep(SETTLE_S)
        undo.pop_all()
        reports = {"puts": puts.finish(), "chains": chains.finish()}
        made = system.puts_made()
    checks = [check_puts(made, kept.puts), check_chains(kept.chains.values(), PREFIX)]
    _show(out, kept, reports, checks)
    out.write(f"\nstore (SQLite)   {store}\nspans (JSON)     {spans}\nlogs of clients  {folder / 'system'}\n")
    out.flush()
    return all(check.passed for check in checks)


def _wait(duration_s: float, each: Callable[[float], None]) -> None:
    begun = time.monotonic()
    try:
        while (elapsed := time.monotonic() - begun) < duration_s:
            each(elapsed)
            time.sleep(min(0.1, duration_s - elapsed))
    except KeyboardInterrupt:
        return


@contextmanager
def _progress(err: TextIO, duration_s: float) -> Iterator[Callable[[float, int, int], None]]:
    """A bar on a terminal; elsewhere a plain line every five seconds."""
    if err.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("watching"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(file=err), transient=True) as bar:
            task = bar.add_task("", total=duration_s)
            yield lambda elapsed, puts, chains: bar.update(
                task, completed=elapsed, description=f"{puts} puts, {chains} chains"
            )
    else:
        said = 0.0

        def line(elapsed: float, puts: int, chains: int) -> None:
            nonlocal said
            if elapsed - said >= 5:
                said = elapsed
                _say(err, f"{elapsed:.0f} s of {duration_s:g}: {puts} puts, {chains} chains")

        yield line


def _show(out: TextIO, kept: KeepSink, reports: dict[str, Report], checks: list[CheckResult]) -> None:
    style = Style.of(out)
    last = list(kept.puts)[-PUTS_SHOWN:]
    out.write(style.bold(f"\nWho put what: the last {len(last)} of {kept.puts_seen} puts\n\n"))
    lines = StringIO()
    sink = TextSink(lines, style)
    sink.write(last)  # teaches the columns their widths
    lines.seek(0)
    lines.truncate()
    sink.write(last)
    out.write(lines.getvalue())
    out.write(style.bold("\nWhy records processed: the largest chain of each origin\n\n"))
    tree = TreeSink(out, style)
    for chain in _worth_showing(kept.chains.values()):
        tree.write([chain])
        out.write("\n")
    out.write(style.bold("What was seen, and what became of it\n\n"))
    for what, report in reports.items():
        counts = report.counters
        others = f", {counts.filtered} of others" if counts.filtered else ""
        out.write(f"{what:<8} {counts.seen} seen, {counts.delivered} delivered, {counts.lost} lost{others}\n")
        for error in report.errors:
            out.write(style.warn(f"         {error}\n"))
    for check in checks:
        out.write(check.text + "\n" if check.passed else style.warn(check.text + "\n"))


def _worth_showing(chains: Iterable[Chain], limit: int = 4) -> list[Chain]:
    return sorted(chains, key=lambda chain: len(chain.spans), reverse=True)[:limit]


def _say(err: TextIO, message: str) -> None:
    err.write(f"epicsmon demo: {message}\n")
    err.flush()

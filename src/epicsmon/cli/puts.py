"""`epicsmon puts`: who put what to which PV."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from epicsmon.cli.options import HelpFormatter, add_globs, add_run

if TYPE_CHECKING:
    from epicsmon.cli.streams import ExitCode, Streams
    from epicsmon.events import Event
    from epicsmon.sinks.base import Sink

EXAMPLES = """\
examples:
  epicsmon puts                                every put on this host, until Ctrl-C
  epicsmon puts 'LINAC:MAG:*' '!*:HEARTBEAT'   puts to these PVs but not to those
  epicsmon puts --json --count 10 | jq .pv     ten puts as JSON, one object a line
  epicsmon puts --duration 1h --store log.db   for an hour, also into an SQLite store
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "puts",
        help="who put what to which PV",
        description="Shows every Channel Access put that reaches or leaves this host, on all interfaces and ports.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    add_globs(parser, "puts to PVs")
    add_run(parser, "puts")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, streams: Streams, source: Iterable[Event] | None = None) -> ExitCode:
    """Runs the command; without a `source` it watches the live network of this host."""
    from epicsmon.agent.filters import NameFilter
    from epicsmon.cli.monitor import monitor

    def open_source() -> AbstractContextManager[Iterable[Event]]:
        return _live(streams) if source is None else nullcontext(source)

    return monitor(
        open_source,
        sinks_for(options, streams),
        names=NameFilter(options.globs),
        count=options.count,
        duration_s=options.duration,
        what="puts",
        streams=streams,
    )


@contextmanager
def _live(streams: Streams) -> Iterator[Iterable[Event]]:
    from epicsmon.puts.live import watch_puts

    with watch_puts() as source:
        if streams.err.isatty():
            # On a quiet network nothing else tells a person that it works.
            streams.say("watching, Ctrl-C ends it; channels that are open already are shown as unknown")
        yield source


def sinks_for(options: argparse.Namespace, streams: Streams) -> list[Sink]:
    """The sinks that the options ask for."""
    from epicsmon.sinks.jsonl import JsonLinesSink
    from epicsmon.sinks.text import TextSink

    sinks: list[Sink] = [JsonLinesSink(streams.out) if options.json else TextSink(streams.out)]
    if options.store is not None:
        from epicsmon.store.sqlite import StoreSink

        sinks.append(StoreSink(options.store))
    return sinks

"""`epicsmon trace`: why records process, as trees of calls."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from epicsmon.cli.options import HelpFormatter, add_globs, add_run, zipkin_url
from epicsmon.text import escape

if TYPE_CHECKING:
    from epicsmon.cli.streams import ExitCode, Streams
    from epicsmon.events import Event
    from epicsmon.sinks.base import Sink
    from epicsmon.trace.live import TraceSource

EXAMPLES = """\
examples:
  epicsmon trace HV:RAMP                       the chains in which HV:RAMP processed
  epicsmon trace --ioc ioc-vac '!*:HEARTBEAT'  one IOC, without the chains of heartbeats alone
  epicsmon trace --zipkin http://zipkin:9411   also to a Zipkin server
  epicsmon trace --json --count 5 | jq .       five chains as JSON, one object a line
  epicsmon trace --file spans.jsonl --store t.db --duration 10m
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "trace",
        help="why a record processed: chains of records as trees",
        description="Attaches to the IOCs of this host, which go on running, and shows each chain of processing.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    add_globs(parser, "chains with records")
    add_run(parser, "chains")
    parser.add_argument(
        "--ioc", metavar="NAME/PID", action="append", help="only this IOC, by name or process id; may be repeated"
    )
    parser.add_argument("--zipkin", metavar="URL", type=zipkin_url, help="also send to this Zipkin server")
    parser.add_argument("--file", metavar="FILE", help="also append the spans to this file, one JSON object a line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, streams: Streams, source: Iterable[Event] | None = None) -> ExitCode:
    """Runs the command; without a `source` it traces the IOCs of this host."""
    from epicsmon.agent.filters import NameFilter
    from epicsmon.cli.monitor import monitor

    def open_source() -> AbstractContextManager[Iterable[Event]]:
        if source is not None:
            return nullcontext(source)
        return _live(options.ioc, streams)

    return monitor(
        open_source,
        sinks_for(options, streams),
        names=NameFilter(options.globs),
        count=options.count,
        duration_s=options.duration,
        what="chains",
        source_what="calls",
        streams=streams,
    )


@contextmanager
def _live(iocs: list[str] | None, streams: Streams) -> Iterator[TraceSource]:
    from epicsmon.trace.live import trace_processing

    with trace_processing(iocs=iocs) as source:
        if not source.traced:
            which = "IOC" if iocs is None else f"IOC that is {' or '.join(map(escape, iocs))}"
            streams.say(f"no {which} runs here yet; one that starts is traced within two seconds")
            if source.not_permitted:
                streams.say(f"{source.not_permitted} processes may not be looked into: run it as root")
        yield source


def sinks_for(options: argparse.Namespace, streams: Streams) -> list[Sink]:
    """The sinks that the options ask for."""
    from epicsmon.sinks.jsonl import JsonLinesSink
    from epicsmon.sinks.tree import TreeSink

    sinks: list[Sink] = [JsonLinesSink(streams.out) if options.json else TreeSink(streams.out)]
    if options.store is not None:
        from epicsmon.store.sqlite import StoreSink

        sinks.append(StoreSink(options.store))
    if options.file is not None:
        from epicsmon.sinks.tracefile import TraceFileSink

        sinks.append(TraceFileSink(options.file))
    if options.zipkin is not None:
        from epicsmon.sinks.zipkin import ZipkinSink

        sinks.append(ZipkinSink(options.zipkin))
    return sinks

"""Chains to a Zipkin server, through OpenTelemetry's span model and its Zipkin exporter (protobuf over HTTP, API v2).

The ids are ours, computed by the tracer, so the exporter is driven directly with `ReadableSpan`s and not through an
OpenTelemetry tracer, which would draw its own. OpenTelemetry and requests are imported when the sink is opened: the
extra `epicsmon[zipkin]`.

How a span appears in Zipkin (the server writes service and span names in lower case; the tags keep the case):

- service name: the IOC's name; span name: the record's name, or the function's when the record is not known
- kind SERVER for a root that a client's put began, none otherwise
- timestamp and duration in microseconds; a shorter call counts as 1 us, `epics.duration_ns` is exact
- tags `epics.ioc`, `epics.function` (dbProcess, dbPutField, dbProcessNotify, dbPut), `epics.record`,
  `epics.record_type`, `epics.field`, `epics.value`, `epics.count` (elements put), `epics.severity`, `epics.status`,
  `epics.active` (PACT at return), `epics.trigger` (roots), `thread.name`, `thread.id`, `process.pid`; what is not known
  is left out
- tag `service.name`: the resource OpenTelemetry adds
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import urlsplit, urlunsplit

from epicsmon.events import Chain, Event, Span, Trigger
from epicsmon.sinks.base import SinkCounters, SinkError
from epicsmon.sinks.format import value_text
from epicsmon.text import encodable

if TYPE_CHECKING:
    import requests
    from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter
    from opentelemetry.sdk.trace import ReadableSpan

SPANS_PER_POST = 2_000
"""Keeps a request near 1 MB, well below the 5 MB and more that servers and proxies take."""

Attribute = Optional[Union[str, int, bool]]


class ZipkinSink:
    """Sends chains to `url`: `http://host:9411`, or with its own path instead of `/api/v2/spans`.

    A server that cannot be reached or refuses is a SinkError that says so, and the chains it did not take are counted
    as failed; each batch is tried once, for at most `timeout_s` a request.
    """

    def __init__(self, url: str, timeout_s: int = 5) -> None:
        self.url = spans_url(url)
        self.name = f"zipkin {self.url}"
        self.counters = SinkCounters()
        self._timeout_s = timeout_s
        self._exporter: ZipkinExporter | None = None

    def open(self) -> None:
        """Imports what is needed. Raises SinkError when it is not installed; the server is not asked yet."""
        try:
            import requests
            from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter
        except ImportError as error:
            hint = "pip install 'epicsmon[zipkin]'"
            raise SinkError(self.name, f"module {error.name} is not installed", hint) from error
        session = requests.Session()
        session.hooks["response"].append(self._check)
        self._exporter = ZipkinExporter(endpoint=self.url, timeout=self._timeout_s, session=session)

    def takes(self, event: Event) -> bool:
        """Chains."""
        return isinstance(event, Chain)

    def write(self, batch: Sequence[Event]) -> None:
        """Sends the chains, one request for each IOC and each 2000 spans. Raises SinkError."""
        failure: SinkError | None = None
        for chains in _posts([event for event in batch if isinstance(event, Chain)]):
            try:
                self._post(chains)
            except SinkError as error:
                failure = error
                self.counters.failed += len(chains)
            else:
                self.counters.accepted += len(chains)
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Closes the connection."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.shutdown()

    def _post(self, chains: Sequence[Chain]) -> None:
        from requests import RequestException

        if self._exporter is None:
            raise SinkError(self.name, "not open")
        try:
            self._exporter.export(readable_spans(chains))
        except RequestException as error:
            raise SinkError(
                self.name, f"{_cause(error)}: the server did not take the spans", "is it running?"
            ) from error

    def _check(self, response: requests.Response, *args: Any, **kwargs: Any) -> None:
        """A refusal as an error with the server's words; the exporter itself would only log it."""
        if not response.is_redirect and response.status_code not in (200, 202):
            reason = f"HTTP status {response.status_code}: {response.text[:200]!a}"
            raise SinkError(self.name, reason, "is this a Zipkin server, API v2?")


def spans_url(url: str) -> str:
    """`url` with `/api/v2/spans` when it has no path. Raises ValueError unless it is http or https with a host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"no URL like http://localhost:9411: {url!r}")
    return url if parts.path.strip("/") else urlunsplit(parts._replace(path="/api/v2/spans"))


def _cause(error: BaseException) -> str:
    """What happened in the system's words, which requests wraps three deep: `Connection refused`."""
    first = error
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or type(first).__name__


def _posts(chains: Sequence[Chain]) -> list[list[Chain]]:
    """Chains of one IOC together, about SPANS_PER_POST at most: a request names one service only."""
    posts: list[list[Chain]] = []
    open_posts: dict[str, tuple[list[Chain], int]] = {}
    for chain in chains:
        post, size = open_posts.get(chain.root.ioc, ([], SPANS_PER_POST))
        if size + len(chain.spans) > SPANS_PER_POST:
            post, size = [], 0
            posts.append(post)
        post.append(chain)
        open_posts[chain.root.ioc] = (post, size + len(chain.spans))
    return posts


def readable_spans(chains: Sequence[Chain]) -> list[ReadableSpan]:
    """The spans of chains of one IOC in OpenTelemetry's model, with our own ids."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind

    resource = Resource({SERVICE_NAME: encodable(chains[0].root.ioc)}) if chains else None
    found: list[ReadableSpan] = []
    for span in (span for chain in chains for span in chain.spans):
        # No flag SAMPLED: the exporter would turn it into Zipkin's "debug", which overrides the site's own sampling.
        parent = None if span.parent_id is None else SpanContext(span.trace_id, span.parent_id, is_remote=False)
        from_client = span.trigger in (Trigger.CA_CLIENT, Trigger.PVA_CLIENT)
        found.append(
            ReadableSpan(
                name=encodable(span.record or span.kind.value),
                context=SpanContext(span.trace_id, span.span_id, is_remote=False),
                parent=parent,
                resource=resource,
                attributes=attributes(span),
                kind=SpanKind.SERVER if from_client else SpanKind.INTERNAL,
                start_time=span.start_ns,
                # Zipkin reads a duration of 0 as unknown; the exporter rounds to microseconds.
                end_time=span.start_ns + max(span.duration_ns, 1_000),
            )
        )
    return found


def attributes(span: Span) -> dict[str, str | int | bool]:
    """The tags of a span; what is not known is not there."""
    given: dict[str, Attribute] = {
        "epics.ioc": span.ioc,
        "epics.function": span.kind.value,
        "epics.record": span.record,
        "epics.record_type": span.record_type,
        "epics.field": span.field,
        "epics.value": None if span.value is None else value_text(span.value, limit=256, count=span.count),
        "epics.count": span.count,
        "epics.severity": span.severity,
        "epics.status": span.status,
        "epics.active": span.active,
        "epics.trigger": None if span.trigger is None else span.trigger.value,
        "epics.duration_ns": span.duration_ns,
        "thread.name": span.thread,
        "thread.id": span.tid,
        "process.pid": span.pid,
    }
    return {
        key: encodable(value) if isinstance(value, str) else value for key, value in given.items() if value is not None
    }

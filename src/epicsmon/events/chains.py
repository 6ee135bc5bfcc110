"""Spans, one for each call, and the chains that they form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from epicsmon.events.values import Json, Value, value_to_json
from epicsmon.text import rfc3339


class SpanKind(str, Enum):
    """The call that a span measures; the value is the name of the function in EPICS Base."""

    PROCESS = "dbProcess"
    PUT_FIELD = "dbPutField"
    PUT_NOTIFY = "dbProcessNotify"
    PUT = "dbPut"


class Trigger(str, Enum):
    """What set a chain off, told by the name of the thread it began in (EPICS Base 3.15 and later)."""

    CA_CLIENT = "ca-client"
    CA_LINK = "ca-link"
    PVA_CLIENT = "pva-client"
    SCAN = "scan"
    SCAN_ONCE = "scan-once"
    CALLBACK = "callback"
    EVENT = "event"
    MAIN = "main"

    @classmethod
    def of_thread(cls, comm: str | None, is_main: bool = False) -> Trigger | None:
        """The trigger for a thread called `comm`; None when the name tells nothing, as always in Base 3.14.

        `is_main` says that the thread's id is the process id: PINI at iocInit and the IOC shell's dbpf run there.
        The names are those that Base gives its threads: rsrv/caservertask.c, ca/client, db/dbScan.c, db/callback.c,
        db/dbCa.c; QSRV1 and PVXS for PVA.
        """
        if is_main:
            return cls.MAIN
        if comm is None:
            return None
        for prefix, trigger in _THREADS:
            if comm.startswith(prefix):
                return trigger
        return None


_THREADS = (
    ("CAS-", Trigger.CA_CLIENT),
    ("scanOnce", Trigger.SCAN_ONCE),
    ("scan-", Trigger.SCAN),
    ("cbLow", Trigger.CALLBACK),
    ("cbMedium", Trigger.CALLBACK),
    ("cbHigh", Trigger.CALLBACK),
    ("dbCaLink", Trigger.CA_LINK),
    ("CAC-", Trigger.CA_LINK),
    ("PDB-event", Trigger.EVENT),
    ("TCP-rx", Trigger.PVA_CLIENT),
    ("PVXTCP", Trigger.PVA_CLIENT),
    ("qsrv", Trigger.PVA_CLIENT),
)


@dataclass(frozen=True)
class Span:
    """One call of dbProcess, dbPut, dbPutField or dbProcessNotify, from its entry to its return.

    `trace_id` has 128 bits and `span_id` 64, computed and never drawn. `thread` is the thread's comm; `trigger` is
    set on roots only. `value`, `status` and `severity` are those of the record at return (status and severity in the
    record's own menu strings, like HIHI and MAJOR); `active` is PACT at return: true means that the record completes
    later. `count` is how many elements a put wrote; `value` then holds the first ones, as far as the probe took them.
    """

    trace_id: int
    span_id: int
    parent_id: int | None
    kind: SpanKind
    record: str | None
    record_type: str | None
    field: str | None
    start_ns: int
    duration_ns: int
    pid: int
    tid: int
    ioc: str
    thread: str | None = None
    trigger: Trigger | None = None
    value: Value = None
    status: str | None = None
    severity: str | None = None
    active: bool | None = None
    count: int | None = None

    @property
    def end_ns(self) -> int:
        """When the call returned."""
        return self.start_ns + self.duration_ns

    def to_json(self) -> dict[str, Json]:
        """The span under stable names; ids are hexadecimal, 32 and 16 digits, as Zipkin and W3C write them."""
        return {
            "event": "span",
            "trace_id": f"{self.trace_id:032x}",
            "span_id": f"{self.span_id:016x}",
            "parent_id": None if self.parent_id is None else f"{self.parent_id:016x}",
            "kind": self.kind.value,
            "record": self.record,
            "record_type": self.record_type,
            "field": self.field,
            "start": rfc3339(self.start_ns),
            "start_ns": self.start_ns,
            "duration_ns": self.duration_ns,
            "pid": self.pid,
            "tid": self.tid,
            "ioc": self.ioc,
            "thread": self.thread,
            "trigger": None if self.trigger is None else self.trigger.value,
            "value": value_to_json(self.value),
            "status": self.status,
            "severity": self.severity,
            "active": self.active,
            "count": self.count,
        }


@dataclass(frozen=True)
class Chain:
    """All the spans of one trace that one process made, the root first; never empty.

    A span whose parent is not among them (it was lost), or whose parents go in a circle, counts as a child of the
    root, so that a walk meets every span once. Raises ValueError for no spans and for two with the same id.
    """

    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        if not self.spans:
            raise ValueError("a chain has at least its root span")
        if len({span.span_id for span in self.spans}) != len(self.spans):
            raise ValueError(f"two spans of trace {self.spans[0].trace_id:032x} have the same id")

    @property
    def root(self) -> Span:
        """The span that began the chain."""
        return self.spans[0]

    @property
    def time_ns(self) -> int:
        """When the chain began."""
        return self.spans[0].start_ns

    @cached_property
    def _children(self) -> dict[int, tuple[Span, ...]]:
        root = self.spans[0].span_id
        parents = {span.span_id: span.parent_id for span in self.spans[1:]}
        circular = _on_a_circle(parents)
        below: dict[int, list[Span]] = {}
        for span in self.spans[1:]:
            parent = span.parent_id
            if parent is None or (parent != root and parent not in parents) or span.span_id in circular:
                parent = root
            below.setdefault(parent, []).append(span)
        return {parent: tuple(sorted(spans, key=lambda s: s.start_ns)) for parent, spans in below.items()}

    def children(self, span: Span) -> tuple[Span, ...]:
        """The calls made directly by `span`, in the order they began."""
        return self._children.get(span.span_id, ())

    def walk(self) -> Iterator[tuple[int, Span]]:
        """Every span with its depth, parents before children, siblings in time order; no recursion."""
        stack = [(0, self.root)]
        while stack:
            depth, span = stack.pop()
            yield depth, span
            stack.extend((depth + 1, child) for child in reversed(self.children(span)))

    def self_ns(self, span: Span) -> int:
        """The time of `span` not spent in its children; never negative."""
        return max(0, span.duration_ns - sum(child.duration_ns for child in self.children(span)))

    @property
    def depth(self) -> int:
        """How many calls deep the chain goes: 1 for a root alone."""
        return 1 + max(depth for depth, _ in self.walk())

    def to_json(self) -> dict[str, Json]:
        """The chain under stable names, its spans inside."""
        return {
            "event": "chain",
            "trace_id": f"{self.root.trace_id:032x}",
            "ioc": self.root.ioc,
            "spans": [span.to_json() for span in self.spans],
        }


def _on_a_circle(parents: dict[int, int | None]) -> set[int]:
    """The ids that are their own ancestors; each id is looked at once."""
    circular: set[int] = set()
    seen: set[int] = set()
    for start in parents:
        path: dict[int, int] = {}
        at: int | None = start
        while at is not None and at in parents and at not in seen:
            seen.add(at)
            path[at] = len(path)
            at = parents[at]
        if at is not None and at in path:
            circular.update(list(path)[path[at] :])
    return circular

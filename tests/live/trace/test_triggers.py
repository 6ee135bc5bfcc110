"""What set a chain off: the thread that Base ran it in."""

from __future__ import annotations

from collections.abc import Callable

from epicsmon.events import Chain, SpanKind, Trigger
from tests.support.clients import CaClient
from tests.support.epics import RealIoc
from tests.support.tracing import Tracer, shape_of

DATABASE = """
record(calc, "G:fast") { field(SCAN, ".1 second") field(CALC, "VAL+1") field(FLNK, "G:slave") }
record(calc, "G:slave") { field(CALC, "VAL+1") }
record(calc, "G:half") { field(SCAN, ".5 second") field(CALC, "VAL+1") }
record(event, "G:event") { field(VAL, "beam") }
record(calc, "G:on_event") { field(SCAN, "Event") field(EVNT, "beam") field(CALC, "VAL+1") field(PRIO, "HIGH") }
record(calcout, "G:late") { field(CALC, "A") field(ODLY, "0.4") field(OOPT, "Every Time") field(FLNK, "G:after") }
record(calc, "G:after") { field(CALC, "VAL+1") }
record(ao, "G:ao") { }
record(calc, "G:watch") { field(INPA, "G:ao CP") field(CALC, "A") }
"""


def root_of(tracer: Tracer, record: str, after: int = 0) -> Chain:
    """A chain that began with the processing of a record, by nobody's put."""
    return tracer.chain(record, SpanKind.PROCESS, after=after)


def test_who_put(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient], caproto: Callable[..., CaClient]
) -> None:
    ioc = make_ioc(DATABASE)
    with Tracer(ioc) as tracer:
        for client in (libca(ioc), caproto(ioc)):
            seen = len(tracer.events)
            client.put("G:ao", 1.5)
            root = tracer.chain("G:ao", SpanKind.PUT_FIELD, after=seen).root
            assert (root.thread, root.trigger) == ("CAS-client", Trigger.CA_CLIENT)
            client.put("G:ao", 1.5, notify=True)
            root = tracer.chain("G:ao", SpanKind.PUT_NOTIFY, after=seen).root
            assert (root.thread, root.trigger) == ("CAS-client", Trigger.CA_CLIENT)
            assert root.tid != ioc.pid
        seen = len(tracer.events)
        ioc.put("G:slave.PROC", "1")
        root = tracer.chain("G:slave", SpanKind.PUT_FIELD, after=seen).root
        assert (root.trigger, root.tid) == (Trigger.MAIN, ioc.pid)
        assert tracer.finish().lost == 0


def test_what_processed_without_a_put(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(DATABASE)
    with Tracer(ioc) as tracer:
        chain = root_of(tracer, "G:fast")
        assert shape_of(chain) == ("G:fast", ("G:slave",))
        assert (chain.root.thread, chain.root.trigger) == ("scan-0.1", Trigger.SCAN)
        assert root_of(tracer, "G:half").root.thread == "scan-0.5"
        assert [span.thread for span in chain.spans] == ["scan-0.1", None], "told at the root only"

        ioc.put("G:event.PROC", "1")
        event = root_of(tracer, "G:on_event").root
        assert event.thread is not None
        assert (event.thread.partition("-")[0], event.trigger) == ("cbHigh", Trigger.CALLBACK)

        ioc.put("G:ao", "4")
        watch = root_of(tracer, "G:watch").root
        assert (watch.trigger, watch.value) in ((Trigger.CA_LINK, 4.0), (Trigger.SCAN_ONCE, 4.0))
        assert tracer.finish().lost == 0


def test_a_record_that_completes_later(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(DATABASE)
    with Tracer(ioc) as tracer:
        ioc.put("G:late.A", "1")
        first = tracer.chain("G:late", SpanKind.PUT_FIELD)
        [span] = first.children(first.root)
        assert (span.record, span.active) == ("G:late", True), "PACT: it completes later"
        # The completion is no dbProcess; what it makes process begins a chain in a callback thread.
        after = root_of(tracer, "G:after").root
        assert after.trigger is Trigger.CALLBACK
        assert after.start_ns - first.root.end_ns > 300_000_000

        # A put while it is active makes Base process it again when it is done: RPRO, in thread scanOnce.
        seen = len(tracer.events)
        ioc.put("G:late.A", "2")
        ioc.put("G:late.A", "3")
        again = root_of(tracer, "G:late", after=seen).root
        assert (again.thread, again.trigger) == ("scanOnce", Trigger.SCAN_ONCE)
        assert tracer.finish().lost == 0

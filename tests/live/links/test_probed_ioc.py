"""A real IOC under probes at the planner's sites: every call is seen on both sides and the IOC goes on as before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from pybpf.elf import ElfImage, check_process, plan_probe
from pybpf.links import Link, ProbeSide, UprobeMethod, attach_uprobe, uprobe_methods
from tests.support.clients import CaClient
from tests.support.epics import RealIoc
from tests.support.probing import CountingPrograms, needs_x86

pytestmark = [needs_x86, pytest.mark.needs("uprobes", "epics", "netns")]

RECORDS = """
record(calc, "first")  { field(CALC, "A*2") field(FLNK, "second") }
record(calc, "second") { field(CALC, "A+1") field(INPA, "first") }
record(ao, "setpoint") { field(FLNK, "first") }
record(calc, "watcher") { field(CALC, "A") field(INPA, "setpoint CP CA") }
"""
# How many integer arguments each function has: the fewer, the more sites are open to the planner.
FUNCTIONS = {
    "dbProcess": 1,
    "dbPut": 4,
    "dbPutField": 4,
    "dbProcessNotify": 1,
    "db_put_process": 5,
    "scanOnce": 1,
    "camessage": 1,
    "db_post_events": 3,
    "recGblFwdLink": 1,
    "dbChannel_put": 4,
}


@pytest.mark.parametrize("method", list(UprobeMethod), ids=lambda method: method.value)
def test_every_traced_function_is_seen_and_the_ioc_lives(
    make_ioc: Callable[..., RealIoc], libca: Callable[..., CaClient], method: UprobeMethod
) -> None:
    if method not in uprobe_methods(ProbeSide.BOTH):
        pytest.skip(f"needs a kernel with {method.value}")
    ioc = make_ioc(RECORDS)
    client = libca(ioc)
    client.connect("setpoint")
    assert check_process(ioc.pid).return_probes
    with ExitStack() as stack:
        counters: dict[str, CountingPrograms] = {}
        links: list[Link] = []
        with ElfImage.open(ioc.libraries.dbcore) as image:
            for name, arguments in FUNCTIONS.items():
                site = plan_probe(image, name, arguments=arguments)
                counters[name] = stack.enter_context(CountingPrograms(cookies=False))
                links.append(
                    attach_uprobe(
                        counters[name], ioc.libraries.dbcore, [site.offset], side=ProbeSide.BOTH, force=method
                    )
                )
                stack.callback(links[-1].detach)
        for value in (1, 2, 3):
            client.put("setpoint", value)
        client.put("setpoint", 4, notify=True)
        ioc.put("first.A", "20")
        assert (ioc.get("first"), ioc.get("second"), ioc.get("setpoint")) == ("40", "41", "4")
        for link in links:
            link.detach()
        seen = {name: counter.counts() for name, counter in counters.items()}
    assert (seen["dbPutField"].entries, seen["dbPutField"].returns) == (4, 4)  # three caputs and one dbpf
    assert (seen["dbProcessNotify"].entries, seen["dbProcessNotify"].returns) == (1, 1)
    assert (seen["db_put_process"].entries, seen["db_put_process"].returns) == (1, 1)
    assert seen["dbChannel_put"].entries == seen["dbChannel_put"].returns == 3
    # setpoint, first and second four times, first and second once; watcher when the CP monitor arrives.
    assert seen["dbProcess"].entries >= 4 * 3 + 2
    for name in ("dbProcess", "dbPut", "camessage", "db_post_events", "recGblFwdLink"):
        assert seen[name].entries > 0, name
        assert seen[name].returns == seen[name].entries, name
    # Nothing is left behind in the process: it answers, and it ends through its exit handlers.
    client.put("setpoint", 5, notify=True)
    assert ioc.get("setpoint") == "5"
    assert sorted(ioc.record_names()) == ["first", "second", "setpoint", "watcher"]
    assert ioc.stop() == 0

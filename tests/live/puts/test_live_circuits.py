"""Who put: names, circuits and channels, as they come, go, come again, or were there before the put log."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from epicsmon.events import PutEvent
from tests.support.ca_sockets import Circuit, listen
from tests.support.ca_wire import Conversation, MadePut, random_conversation, random_sizes
from tests.support.caproto_ioc import CaprotoIoc
from tests.support.clients import CaClient, CaprotoClient, LibcaClient
from tests.support.epics import RealIoc
from tests.support.netns import NetworkNamespace
from tests.support.putwatch import PutWatch

if TYPE_CHECKING:
    from tests.live.puts.conftest import Site

pytestmark = pytest.mark.needs("netns", "epics")

MakeClient = Callable[..., CaClient]
WHOLE = repeat(1 << 20)


def made(puts: list[MadePut]) -> list[tuple[object, ...]]:
    return [(p.pv, p.value, p.data_type, p.count, p.notify, p.sid, p.cid) for p in puts]


def seen(puts: list[PutEvent]) -> list[tuple[object, ...]]:
    return [(p.pv, p.value, p.dbr_type, p.count, p.notify, p.sid, p.cid) for p in puts]


def test_clients_are_told_apart(site: Site) -> None:
    environment = site.ioc.client_environment()
    with ExitStack() as stack:
        alice, bob = (
            stack.enter_context(CaprotoClient(site.folder / "more", environment, user=user))
            for user in ("alice", "bob")
        )
        clients = [site.libca, alice, bob]
        for client in clients:
            client.connect("D2")
        for n in range(4):
            for client in clients:
                client.put("D2", float(n), notify=bool(n % 2))
        puts = site.watch.take(12)
        ports = [client.ports(site.ioc.port) for client in clients]
    assert [(put.pv, put.value, put.user) for put in puts] == [
        ("D2", float(n), user) for n in range(4) for user in (site.libca.user, "alice", "bob")
    ]
    assert ports == [sorted({put.client.port for put in puts[i::3]}) for i in range(3)]


@pytest.mark.parametrize("kind", ["libca", "caproto"])
def test_a_channel_cleared_and_made_again(site: Site, kind: str) -> None:
    client = getattr(site, kind)
    client.connect("D", "L", "S")
    for n in range(3):
        client.put("D", float(n))
        client.put("L", n)
        client.drop("D")
        client.put("S", f"between {n}")
        client.connect("D")
        client.put("D", n + 0.5)
    puts = site.watch.take(12)
    assert [(put.pv, put.value) for put in puts] == [
        want for n in range(3) for want in (("D", float(n)), ("L", n), ("S", f"between {n}"), ("D", n + 0.5))
    ]


def test_a_server_that_is_no_base(watch: PutWatch, caproto_ioc: CaprotoIoc, make_client: MakeClient) -> None:
    assert watch.source.server_ports == frozenset()
    for kind in (LibcaClient, CaprotoClient):
        client = make_client(kind, caproto_ioc.client_environment())
        for pv, value in (("cap:int", 5), ("cap:double", 2.5), ("cap:string", "text"), ("cap:wave", [1.0, 2.0])):
            client.put(pv, value, notify=True)
            (put,) = watch.take(1, quiet_s=0.0)
            expected = tuple(value) if isinstance(value, list) else value
            assert (put.pv, put.value, put.server.port, put.user) == (pv, expected, caproto_ioc.port, client.user)
            # In the server's own words.
            assert caproto_ioc.next_put() == (pv, value)
    assert watch.gaps == []


def test_channels_older_than_the_log_are_unknown_but_new_ones_are_not(
    netns: NetworkNamespace, make_ioc: Callable[..., RealIoc], caproto_ioc: CaprotoIoc, make_client: MakeClient
) -> None:
    ioc = make_ioc('record(ao, "D") { }  record(longout, "L") { }')
    servers = [(ioc, "D", "L"), (caproto_ioc, "cap:double", "cap:int")]
    clients = []
    for server, old, _ in servers:
        for kind in (LibcaClient, CaprotoClient):
            client = make_client(kind, server.client_environment())
            client.put(old, 1.0, notify=True)
            clients.append((client, server, *next(pvs for first, *pvs in servers if first is server)))
    with PutWatch() as watch:
        for client, server, old, new in clients:
            record = client.put(old, 2.0, notify=True)
            client.connect(new)
            client.put(new, 3)
            unknown, known = watch.take(2)
            assert (unknown.pv, unknown.pv_source, unknown.cid) == (None, None, None)
            assert (unknown.user, unknown.host) == (None, None)
            assert unknown.value == 2.0
            assert record.before_ns < unknown.time_ns < record.after_ns
            assert (known.pv, known.value) == (new, 3)
            assert unknown.sid != known.sid
            assert unknown.client == known.client
            assert client.ports(server.port) == [unknown.client.port]
            assert unknown.server == known.server
            assert known.server.port == server.port
            # Once the channel is made again its name is known.
            client.drop(old)
            client.connect(old)
            client.put(old, 4.0)
            (again,) = watch.take(1)
            assert (again.pv, again.value) == (old, 4.0)
        assert watch.gaps == []


def test_an_ioc_that_starts_later_and_again(
    watch: PutWatch, make_ioc: Callable[..., RealIoc], make_client: MakeClient
) -> None:
    ioc = make_ioc('record(ao, "D") { }')
    client = make_client(LibcaClient, ioc.client_environment())
    client.put("D", 1.0, notify=True)
    watch.wait_for(lambda: watch.source.server_ports == {ioc.port})
    ioc.stop()
    # The same port, and other records under the same SIDs.
    again = make_ioc('record(longout, "L") { }  record(ao, "D") { }', port=ioc.port)
    late = make_client(CaprotoClient, again.client_environment())
    late.put("L", 2, notify=True)
    client.drop("D")
    client.put("D", 3.0, notify=True)
    assert [(put.pv, put.value) for put in watch.take(3)] == [("D", 1.0), ("L", 2), ("D", 3.0)]
    assert watch.gaps == []


def test_made_circuits_however_they_are_cut(watch: PutWatch) -> None:
    """Names, SIDs and CIDs used again, puts of every shape, between sockets that no IOC has, in writes of any size."""
    rng = random.Random(5)
    for number in range(12):
        talk = random_conversation(rng, 100)
        with Circuit() as circuit:
            # The first write must tell what the connection is; every client sends its first messages whole.
            circuit.play(talk, WHOLE, end=3)
            circuit.play(talk, random_sizes(rng, (60, 1448, 70_000)[number % 3]), begin=3)
            puts = watch.take(len(talk.puts))
            assert seen(puts) == made(talk.puts)
            assert {(put.client.port, put.server.port) for put in puts} <= {(circuit.client_port, circuit.server_port)}
            assert {(put.user, put.host) for put in puts} <= {("alice", "opi07")}
    assert watch.gaps == []


def test_many_circuits_at_once(watch: PutWatch) -> None:
    rng = random.Random(6)
    talks = [random_conversation(rng, 60) for _ in range(16)]
    with ExitStack() as stack:
        circuits = [stack.enter_context(Circuit()) for _ in talks]
        steps = [0] * len(talks)
        while open_ones := [i for i, talk in enumerate(talks) if steps[i] < len(talk.said)]:
            i = rng.choice(open_ones)
            steps[i] += 1
            circuits[i].play(talks[i], WHOLE, begin=steps[i] - 1, end=steps[i])
        puts = watch.take(sum(len(talk.puts) for talk in talks))
        for circuit, talk in zip(circuits, talks):
            own = [put for put in puts if put.client.port == circuit.client_port]
            assert seen(own) == made(talk.puts)
    assert watch.gaps == []


def test_many_messages_in_one_segment(watch: PutWatch) -> None:
    talk = Conversation().begin()
    sids = [talk.create(f"PV:{n}", cid=n) for n in range(3)]
    before = len(talk.said)
    for n in range(300):
        talk.put(sids[n % 3], float(n))
    with Circuit() as circuit:
        circuit.play(talk, WHOLE, end=before)
        circuit.say(True, b"".join(data for _, data in talk.said[before:]))
        puts = watch.take(300)
        assert seen(puts) == made(talk.puts)
        assert len({put.time_ns for put in puts}) == 1


def test_a_connection_of_the_same_ports_begins_anew(watch: PutWatch) -> None:
    with listen() as server:
        port = None
        for name in ("FIRST", "SECOND"):
            talk = Conversation(user=name.lower()).begin()
            talk.put(talk.create(name, cid=1, sid=1), 1.0)
            with Circuit(server=server, client_port=port) as circuit:
                circuit.play(talk, WHOLE)
                (put,) = watch.take(1)
                assert (put.pv, put.user, put.client.port) == (name, name.lower(), circuit.client_port)
                port = circuit.client_port
    assert watch.gaps == []

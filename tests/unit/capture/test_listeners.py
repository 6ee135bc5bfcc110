from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from epicsmon.capture.listeners import Listener, LocalServers, SocketTable, of_processes


@pytest.fixture
def server():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


@pytest.fixture
def table():
    with SocketTable() as table:
        yield table


def own_servers(table):
    return LocalServers(lambda: [os.getpid()], table.listeners, table.addresses)


def test_a_listening_socket_is_found_with_its_address(table, server):
    host, port = server.getsockname()
    assert table.listeners() == table.listeners()
    (found,) = [listener for listener in table.listeners() if listener.port == port]
    assert found.host == host
    assert found.inode == os.fstat(server.fileno()).st_ino


def test_connections_are_not_listeners_however_many_there_are(table, server):
    port = server.getsockname()[1]
    clients = [socket.create_connection(server.getsockname()) for _ in range(20)]
    ports = {client.getsockname()[1] for client in clients}
    try:
        found = {listener.port for listener in table.listeners()}
        assert port in found
        assert not ports & found
    finally:
        for client in clients:
            client.close()


def test_only_those_of_the_processes_asked_for_count(table, server):
    port = server.getsockname()[1]
    assert port in {listener.port for listener in of_processes(table.listeners(), [os.getpid()])}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert port not in {listener.port for listener in of_processes(table.listeners(), [other.pid])}
        other.communicate()
    assert of_processes(table.listeners(), [other.pid]) == frozenset()  # it has ended


def test_loopback_is_a_local_address(table):
    assert "127.0.0.1" in table.addresses()


def test_a_server_is_known_by_the_address_it_listens_on(table, server):
    port = server.getsockname()[1]
    servers = own_servers(table)
    assert servers.look(0.0)
    assert servers.has("127.0.0.1", port)
    # The port alone proves nothing: another host may use the same one.
    assert not servers.has("192.0.2.1", port)
    assert not servers.has("127.0.0.1", port - 1)


def test_a_server_on_every_address_is_known_by_the_local_ones(table):
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        port = listening.getsockname()[1]
        servers = own_servers(table)
        servers.look(0.0)
        for host in ("127.0.0.1", "127.1.2.3", *table.addresses()):
            assert servers.has(host, port)
        assert not servers.has("192.0.2.1", port)


def test_processes_are_looked_through_only_when_sockets_have_changed():
    own = Listener("127.0.0.1", 5064, os.stat(os.devnull).st_ino)
    sockets = [frozenset({own})]
    asked = []

    def pids():
        asked.append(1)
        return [os.getpid()]

    servers = LocalServers(pids, lambda: sockets[-1], frozenset)
    assert servers.look(0.0)
    assert not servers.look(1.0)
    assert len(asked) == 1
    sockets.append(frozenset())
    assert servers.look(2.0)
    assert not servers.look(3.0)
    assert len(asked) == 2
    # Now and then all the same: a process may have become an IOC later.
    assert servers.look(2.0 + LocalServers.ANEW_S)
    assert len(asked) == 3

"""One site for the tests of a module: a namespace with an IOC, clients, and the put log that watched them all along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.clients import CaClient, CaprotoClient, LibcaClient
from tests.support.epics import RealIoc
from tests.support.fixtures import require
from tests.support.netns import NetworkNamespace
from tests.support.putwatch import PutWatch

RECORDS = """
record(ao, "D") { field(PREC, "3") }
record(ao, "D2") { field(PREC, "3") }
record(longout, "L") { }
record(stringout, "S") { }
record(bo, "E") { field(ZNAM, "Off") field(ONAM, "On") }
record(lsi, "LS") { field(SIZV, "400") }
record(waveform, "WD") { field(FTVL, "DOUBLE") field(NELM, "200000") }
record(waveform, "WS") { field(FTVL, "STRING") field(NELM, "10") }
record(waveform, "WC") { field(FTVL, "CHAR") field(NELM, "100000") }
"""


@dataclass
class Site:
    """What runs in the namespace."""

    folder: Path
    ioc: RealIoc
    watch: PutWatch
    libca: CaClient
    caproto: CaClient


@pytest.fixture(scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, NetworkNamespace]]:
    require("epics", "netns")
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        namespace = stack.enter_context(NetworkNamespace())
        with namespace.entered():
            ioc = stack.enter_context(RealIoc(folder / "ioc", RECORDS, env={"EPICS_CA_MAX_ARRAY_BYTES": "10000000"}))
            watch = stack.enter_context(PutWatch())
            environment = {**ioc.client_environment(), "EPICS_CA_MAX_ARRAY_BYTES": "10000000"}
            libca, caproto = (
                stack.enter_context(kind(folder / "clients", environment)) for kind in (LibcaClient, CaprotoClient)
            )
        yield Site(folder, ioc, watch, libca, caproto), namespace


@pytest.fixture
def site(_site: tuple[Site, NetworkNamespace]) -> Iterator[Site]:
    """The site; the test runs in its namespace, and nothing may have been lost when it ends."""
    found, namespace = _site
    with namespace.entered():
        found.watch.take(0, quiet_s=0.05)
        found.watch.gaps.clear()
        yield found
        assert found.watch.gaps == []


@pytest.fixture
def watch(netns: NetworkNamespace) -> Iterator[PutWatch]:
    """The put log of the test's own namespace, from before anything happened there."""
    with PutWatch() as watch:
        yield watch

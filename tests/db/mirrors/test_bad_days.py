"""Upstreams that flap, are slow, or have nothing; and processes that want the same at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from terrapod_core.coordination import PostgreSQLCoordination
from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.mirrors.troubles import SLOW_SECONDS, Troubles
from terrapod_core.mirrors.upstreams import Upstreams, UpstreamTrouble
from terrapod_core.plugin import ProviderSource
from terrapod_core.settings import Mirrors
from terrapod_core.testing import MemoryStorage
from tests.db.mirrors.conftest import FAKE, PLATFORM, Cache, HandMirror, cache_over
from tests.db.mirrors.test_caching import got

OTHER = ProviderSource("other.test", "acme", "fake")


class Time:
    """Of a test's own."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(
    troubles: Troubles, source: ProviderSource, error: Exception | None = None, *, takes: float = 0.0, time: Time | None = None
) -> bool:
    """Whether the upstream is asked."""
    asked = False
    try:
        with troubles.of(source, "1.0.0", PLATFORM):
            asked = True
            if time is not None:
                time.now += takes
            if error is not None:
                raise error
    except (NotFound, UpstreamTrouble):
        pass
    return asked


def test_what_failed_is_not_asked_for_again_for_a_few_seconds() -> None:
    time = Time()
    troubles = Troubles(5, 60, monotonic=time)
    assert ask(troubles, FAKE, UpstreamTrouble("it is down"))
    with pytest.raises(UpstreamTrouble, match="it is down .that was a moment ago"), troubles.of(FAKE, "1.0.0", PLATFORM):
        pytest.fail("it was asked")
    assert ask(troubles, replace(FAKE, type="another"))
    time.now += 5.1
    assert ask(troubles, FAKE)


def test_a_host_that_is_slow_to_fail_is_asked_for_nothing_and_others_go_on() -> None:
    time = Time()
    troubles = Troubles(5, 60, monotonic=time)
    assert ask(troubles, FAKE, UpstreamTrouble("it did not answer in time"), takes=SLOW_SECONDS, time=time)
    assert not ask(troubles, replace(FAKE, type="another"))
    assert ask(troubles, OTHER)
    time.now += 5.1
    assert ask(troubles, replace(FAKE, type="another"))


def test_what_is_missing_is_remembered_longer_than_what_failed() -> None:
    time = Time()
    troubles = Troubles(5, 60, monotonic=time)
    assert ask(troubles, FAKE, NotFound("no such version"))
    time.now += 30
    assert not ask(troubles, FAKE)
    time.now += 31
    assert ask(troubles, FAKE)


async def test_a_version_that_is_missing_is_asked_for_once(cache: Cache) -> None:
    asked = 0
    answered = cache.mirror.package

    async def counted(*question: object) -> object:
        nonlocal asked
        asked += 1
        return await answered(*question)  # type: ignore[arg-type]

    cache.mirror.package = counted  # type: ignore[method-assign, assignment]
    for _ in range(3):
        with pytest.raises(NotFound, match=r"no version 9\.0\.0"):
            await cache.releases.of(FAKE, "9.0.0", PLATFORM)
    assert asked == 1


async def test_a_flapping_host_tells_what_is_known_and_is_well_again_by_itself(db: Database, storage: MemoryStorage) -> None:
    cache = cache_over(db, storage, HandMirror(), Mirrors(index_fresh_seconds=0))
    await cache.indexes.of(FAKE)
    cache.mirror.failing = "registry.test: did not answer in time"
    with pytest.raises(UpstreamTrouble, match=r"registry\.test: did not answer in time"):
        await cache.indexes.ask(FAKE)
    asked = cache.mirror.indexes
    for _ in range(20):
        assert (await cache.indexes.of(FAKE)).versions
    assert cache.mirror.indexes <= asked + 1
    await cache.close()


async def test_the_servers_own_host_is_refused_with_a_sentence() -> None:
    mirror = HandMirror()
    upstreams = Upstreams({"hand": mirror}, sealed=False, own=frozenset({"registry.test"}))
    with pytest.raises(NotFound, match=r"registry\.test is this server itself, which does not mirror what it publishes"):
        await upstreams.index(FAKE, None)
    assert upstreams.hosts == []
    assert mirror.indexes == 0


async def test_two_processes_over_one_database_and_one_store_make_one_download(migrated_url: str, storage: MemoryStorage) -> None:
    mirror = HandMirror(gate=asyncio.Event())
    assert mirror.gate is not None
    databases = [Database(migrated_url) for _ in range(2)]
    for database in databases:
        if not database.is_sqlite:
            database.wakeups.use(PostgreSQLCoordination(database.url))
        database.wakeups.start()
    if databases[0].is_sqlite:
        for database in databases[1:]:
            database.wakeups.use(databases[0].wakeups.backend)
    caches = [cache_over(each, storage, mirror, Mirrors()) for each in databases]
    try:
        both = [asyncio.create_task(got(each)) for each in caches]
        async with asyncio.timeout(30):
            await mirror.fetching.wait()
            mirror.gate.set()
            assert await asyncio.gather(*both) == [mirror.zip("1.0.0")] * 2
        assert mirror.fetches == 1
    finally:
        for cache in caches:
            await cache.close()
        for database in databases:
            await database.wakeups.close()
            await database.close()

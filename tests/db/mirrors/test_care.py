"""What is evicted, and what never is, by a clock that stands still until a test moves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from terrapod_core.db import Database
from terrapod_core.mirrors.care import HELD, Care
from terrapod_core.mirrors.filling import TOUCHED
from terrapod_core.mirrors.models import MirrorPackage, MirrorRelease
from terrapod_core.mirrors.uses import Uses
from terrapod_core.settings import Mirrors
from terrapod_core.storage.discards import DiscardedObject
from terrapod_core.testing import FakeClock, MemoryStorage
from tests.db.mirrors.conftest import FAKE, PLATFORM, Cache, HandMirror, cache_over

VERSIONS = ["1.0.0", "1.1.0", "1.2.0"]
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> FakeClock:
    """The time."""
    return FakeClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
async def db(migrated_url: str, clock: FakeClock) -> AsyncIterator[Database]:
    """The database, with that clock."""
    database = Database(migrated_url, clock=clock)
    yield database
    await database.close()


@pytest.fixture
async def cache(db: Database, storage: MemoryStorage, clock: FakeClock) -> AsyncIterator[Cache]:
    """Three versions, each used a day after the one before; the last one a day ago."""
    made = cache_over(db, storage, HandMirror(offered=list(VERSIONS)), Mirrors())
    for version in VERSIONS:
        await use(made, version)
        clock.advance(DAY)
    yield made
    await made.close()


async def use(cache: Cache, version: str) -> None:
    """As a client does."""
    await cache.packages.whole(await cache.releases.of(FAKE, version, PLATFORM), PLATFORM)


async def here(cache: Cache) -> list[str]:
    """The versions whose bytes are here."""
    query = (
        select(MirrorRelease.version)
        .join(MirrorPackage, MirrorPackage.release_id == MirrorRelease.id)
        .where(MirrorPackage.object_key.is_not(None))
        .order_by(MirrorRelease.version)
    )
    return await cache.db.read(lambda session: list(session.execute(query).scalars()))


def care(cache: Cache, *, phase: datetime | None = None, **settings: int | bool) -> Care:
    """With these limits, and this as the beginning of the oldest phase that runs."""
    return Care(cache.db, cache.upstreams, Mirrors(**settings), lambda _session: phase)  # type: ignore[arg-type]


def sizes(cache: Cache, *versions: str) -> int:
    """Together."""
    return sum(len(cache.mirror.zip(each)) for each in versions)


async def test_without_limits_nothing_is_evicted(cache: Cache) -> None:
    await care(cache).tidy()
    assert await here(cache) == VERSIONS


async def test_the_longest_unused_goes_until_the_rest_is_small_enough(cache: Cache) -> None:
    await use(cache, "1.0.0")
    await care(cache, cache_bytes=sizes(cache, "1.0.0", "1.2.0")).tidy()
    assert await here(cache) == ["1.0.0", "1.2.0"]
    discarded = await cache.db.read(lambda session: session.execute(select(DiscardedObject.key)).scalars().all())
    assert len(discarded) == 1


async def test_what_was_not_used_for_so_many_days_goes(cache: Cache) -> None:
    await care(cache, unused_days=2).tidy()
    assert await here(cache) == ["1.1.0", "1.2.0"]


async def test_what_a_run_holds_stays_whatever_the_limits_are(cache: Cache, clock: FakeClock) -> None:
    began = clock.now() - 2 * DAY
    await care(cache, phase=began, cache_bytes=1, unused_days=1).tidy()
    assert await here(cache) == ["1.1.0", "1.2.0"]
    await care(cache, cache_bytes=1).tidy()
    assert await here(cache) == []


async def test_what_was_used_a_moment_ago_stays_also_when_no_run_is_known(cache: Cache, clock: FakeClock) -> None:
    await use(cache, "1.1.0")
    clock.advance(HELD - timedelta(seconds=1))
    await care(cache, cache_bytes=1).tidy()
    assert await here(cache) == ["1.1.0"]


async def test_who_is_given_a_package_has_its_row_say_so_before_the_first_byte(cache: Cache, clock: FakeClock) -> None:
    release = await cache.releases.of(FAKE, "1.0.0", PLATFORM)
    stream = await cache.packages.read(release, PLATFORM)
    await care(cache, phase=clock.now(), cache_bytes=1).tidy()
    assert await here(cache) == ["1.0.0"]
    assert b"".join([piece async for piece in stream]) == cache.mirror.zip("1.0.0")


async def test_a_row_that_was_told_lately_is_not_told_again(cache: Cache, clock: FakeClock) -> None:
    await use(cache, "1.0.0")
    told = clock.now()
    clock.advance(TOUCHED - timedelta(seconds=1))
    await use(cache, "1.0.0")
    assert await _last_used(cache, "1.0.0") == told
    clock.advance(timedelta(seconds=2))
    await use(cache, "1.0.0")
    assert await _last_used(cache, "1.0.0") == clock.now()


async def test_what_was_evicted_is_fetched_anew_and_must_be_the_same(cache: Cache) -> None:
    await care(cache, cache_bytes=1).tidy()
    fetches = cache.mirror.fetches
    await use(cache, "1.0.0")
    assert cache.mirror.fetches == fetches + 1
    await care(cache, unused_days=1).tidy()
    assert await here(cache) == ["1.0.0"]


async def test_a_sealed_server_evicts_nothing_because_nothing_comes_again(cache: Cache, storage: MemoryStorage) -> None:
    sealed = cache_over(cache.db, storage, cache.mirror, Mirrors(sealed=True))
    await care(sealed, cache_bytes=1, unused_days=1).tidy()
    assert await here(cache) == VERSIONS
    await sealed.close()


async def test_what_nobody_signed_or_serves_any_more_stays(cache: Cache) -> None:
    async with cache.db.uow() as uow:
        release = (await uow.session.execute(select(MirrorRelease).where(MirrorRelease.version == "1.0.0"))).scalar_one()
        release.sums = None
        other = (await uow.session.execute(select(MirrorRelease).where(MirrorRelease.version == "1.1.0"))).scalar_one()
        other.source = "provider:gone.test/acme/fake"
        await uow.commit()
    await care(cache, cache_bytes=1, unused_days=1).tidy()
    assert await here(cache) == ["1.0.0", "1.1.0"]


async def test_uses_are_counted_in_memory_and_written_together(cache: Cache, clock: FakeClock) -> None:
    uses = Uses(cache.db)
    package = (await cache.releases.of(FAKE, "1.0.0", PLATFORM)).packages[0]
    for _ in range(3):
        uses.count(FAKE, package)
    package.object_key = None
    uses.count(FAKE, package)
    await uses.flush()
    row = await cache.db.read(lambda session: session.get(MirrorPackage, package.id))
    assert row is not None
    assert (row.uses, row.misses, row.last_used_at) == (3, 1, clock.now())


async def _last_used(cache: Cache, version: str) -> datetime:
    return (await cache.releases.of(FAKE, version, PLATFORM)).packages[0].last_used_at

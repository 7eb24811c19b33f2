"""Engines in the cache: what is chosen when upstreams are there, away, or must not be asked, and what several processes do together."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from terrapod_core.authz import SYSTEM, Authorizer
from terrapod_core.clock import SystemClock
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.mirrors.documents import WarmEngines
from terrapod_core.mirrors.engines import EngineCache
from terrapod_core.mirrors.links import Links
from terrapod_core.mirrors.upstreams import Sealed, UpstreamTrouble
from terrapod_core.mirrors.warming import EngineCare, EngineWarmingAsked, WarmingStatus
from terrapod_core.plugin import EngineSource, Index, Offered, Package, Platform, Source, Sums, UpstreamFailed, UpstreamMissing
from terrapod_core.runs.engines_offered import EnginesOffered
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.settings import Mirrors, Secrets, Settings
from terrapod_core.storage import Archives, Capabilities, Objects
from terrapod_core.storage.discards import remove_discarded
from terrapod_core.testing import FakeClock, MemoryStorage
from tests.db.mirrors.conftest import PLATFORM, Cache, HandMirror, cache_over
from tests.support.releases import zipped

TERRAFORM = EngineSource("terraform")
MAC = Platform("darwin", "arm64")


@dataclass
class HandEngines(HandMirror):
    """terraform for two platforms, of which the second has 1.1.0 alone."""

    offered: list[str] = field(default_factory=lambda: ["1.0.0", "1.1.0", "1.2.0-beta1", "1.1.0+other"])
    packages_asked: int = 0

    def serves(self, source: Source) -> bool:
        return source == TERRAFORM

    def hosts(self) -> Sequence[str]:
        return []

    def zip(self, version: str) -> bytes:
        if version not in self.zips:
            self.zips[version] = zipped({"terraform": f"#!/bin/sh\n# {version}\n".encode() * 10_000})
        return self.zips[version]

    async def index(self, source: Source, validator: str | None) -> Index | None:
        self.indexes += 1
        if self.failing is not None:
            raise UpstreamFailed(self.failing)
        return Index(tuple(Offered(each, (PLATFORM, MAC) if each == "1.1.0" else (PLATFORM,)) for each in self.offered), None)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        self.packages_asked += 1
        if self.failing is not None:
            raise UpstreamFailed(self.failing)
        if version not in self.offered:
            raise UpstreamMissing(f"there is no terraform {version}")
        names = [f"terraform_{version}_{each}.zip" for each in ([PLATFORM, MAC] if version == "1.1.0" else [PLATFORM])]
        sums = "".join(f"{hashlib.sha256(self.zip(version)).hexdigest()}  {name}\n" for name in names).encode()
        return Package(f"terraform_{version}_{platform}.zip", "/", Sums(sums, self.publisher.sign(sums), (self.publisher.armor,)))


@dataclass
class Process:
    """The services of one."""

    cache: Cache
    engines: EngineCache
    care: EngineCare
    using: list[str]

    @property
    def mirror(self) -> HandEngines:
        assert isinstance(self.cache.mirror, HandEngines)
        return self.cache.mirror


def process(db: Database, storage: MemoryStorage, mirror: HandEngines, settings: Mirrors | None = None) -> Process:
    made = cache_over(db, storage, mirror, settings or Mirrors(failed_seconds=0))
    keyring = Keyring(SettingsKeys.of(Settings(secrets=Secrets(keys="test:" + "A" * 43 + "="))), SystemClock())
    archives, capabilities = Archives(storage, links=False), Capabilities(keyring, SystemClock())
    links = Links(capabilities, SystemClock())
    engines = EngineCache(db, Authorizer(), made.upstreams, made.indexes, made.releases, made.packages, archives, links)
    using: list[str] = []

    def used_by(session: Session, tool: str, version: str) -> list[str]:
        return using if (tool, version) == ("terraform", "1.0.0") else []

    return Process(made, engines, EngineCare(db, Authorizer(), engines, made.packages, used_by), using)


@pytest.fixture
def one(db: Database, storage: MemoryStorage, cache: Cache) -> Process:
    """`cache` is asked for so that its tasks end before the database does."""
    return process(db, storage, HandEngines(publisher=cache.mirror.publisher))


async def test_of_several_that_fit_the_newest_is_taken_that_is_made_for_the_platform(one: Process) -> None:
    assert (await one.engines.find("terraform", "latest", PLATFORM)).version == "1.1.0"
    assert (await one.engines.find("terraform", "< 1.1", PLATFORM)).version == "1.0.0"
    assert (await one.engines.find("terraform", ">= 1.0", MAC)).version == "1.1.0"
    assert (await one.engines.find("terraform", "1.2.0-beta1", PLATFORM)).version == "1.2.0-beta1"
    with pytest.raises(NotFound, match=r"that fits `< 1.1` is made for darwin_arm64; 1.0.0 is for linux_amd64"):
        await one.engines.find("terraform", "< 1.1", MAC)
    with pytest.raises(NotFound, match=r"has no version 3.0.0; the newest are 1.1.0, 1.0.0"):
        await one.engines.find("terraform", "3.0.0", PLATFORM)


async def test_what_the_list_does_not_have_its_upstream_is_not_asked_for(one: Process) -> None:
    for _ in range(3):
        with pytest.raises(NotFound):
            await one.engines.find("terraform", "3.0.0", PLATFORM)
    assert (one.mirror.indexes, one.mirror.packages_asked) == (1, 0)


async def test_two_processes_fetch_an_engine_once(one: Process, db: Database, storage: MemoryStorage) -> None:
    other = process(db, storage, one.mirror)
    wanted = [await each.engines.find("terraform", "latest", PLATFORM) for each in (one, other)]
    first, second = await asyncio.gather(one.engines.whole(wanted[0]), other.engines.whole(wanted[1]))
    assert first.object_key == second.object_key
    assert one.mirror.fetches == 1


async def test_when_the_upstream_is_away_the_newest_that_is_here_is_taken(one: Process) -> None:
    await one.engines.whole(await one.engines.find("terraform", "1.0.0", PLATFORM))
    one.mirror.failing = "releases.test is down"
    assert (await one.engines.find("terraform", "latest", PLATFORM)).version == "1.0.0"
    assert (await one.engines.find("terraform", "1.0.0", PLATFORM)).version == "1.0.0"
    with pytest.raises(UpstreamTrouble, match="releases.test is down"):
        await one.engines.find("terraform", "1.1.0", PLATFORM)
    with pytest.raises(UpstreamTrouble, match="releases.test is down"):
        await one.engines.find("terraform", "~> 1.1", PLATFORM)


async def test_a_refused_signature_is_no_reason_to_take_an_older_engine(one: Process) -> None:
    await one.engines.whole(await one.engines.find("terraform", "1.0.0", PLATFORM))
    one.mirror.publisher = type(one.mirror.publisher)("Somebody else <else@example.com>")
    with pytest.raises(UpstreamTrouble, match="is refused"):
        await one.engines.find("terraform", "latest", PLATFORM)


async def test_a_sealed_process_knows_only_what_is_here(one: Process, db: Database, storage: MemoryStorage) -> None:
    await one.engines.whole(await one.engines.find("terraform", "1.0.0", PLATFORM))
    await one.engines.find("terraform", "1.1.0", PLATFORM)  # whose sums are known, and whose zip is not here
    asked = replace(one.mirror)
    sealed = process(db, storage, one.mirror, Mirrors(sealed=True))
    assert (await sealed.engines.find("terraform", "latest", PLATFORM)).version == "1.0.0"
    for version in ("1.1.0", "~> 1.1", "3.0.0"):
        with pytest.raises(Sealed, match="bring it with `terrapod bundle import`"):
            await sealed.engines.find("terraform", version, PLATFORM)
    assert (one.mirror.indexes, one.mirror.packages_asked, one.mirror.fetches) == (asked.indexes, asked.packages_asked, asked.fetches)


async def test_an_engine_that_a_run_works_with_is_not_purged(one: Process, db: Database, storage: MemoryStorage) -> None:
    await one.engines.whole(await one.engines.find("terraform", "1.0.0", PLATFORM))
    one.using += ["run-1", "run-2"]
    with pytest.raises(Conflict, match="is used by the run run-1 and 1 more"):
        await one.care.purge(SYSTEM, "terraform", "1.0.0", PLATFORM)
    one.using.clear()
    await one.care.purge(SYSTEM, "terraform", "1.0.0", PLATFORM)
    keyring = Keyring(SettingsKeys.of(Settings(secrets=Secrets(keys="test:" + "A" * 43 + "="))), SystemClock())
    await remove_discarded(db, Objects(storage, keyring))
    assert [info async for info in storage.list("")] == []
    await one.engines.whole(await one.engines.find("terraform", "1.0.0", PLATFORM))
    assert one.mirror.fetches == 2


async def test_a_warming_that_is_carried_out_twice_fetches_once(one: Process) -> None:
    (made,) = await one.care.warm(SYSTEM, WarmEngines(tool="terraform", version="1.0.0", platforms=["linux_amd64"]))
    assert made.row.status == WarmingStatus.PENDING
    for _ in range(2):
        await one.care.carry_out(EngineWarmingAsked(made.row.id))
    ended = await one.care.read(SYSTEM, made.row.id)
    assert (ended.row.status, ended.row.received) == (WarmingStatus.FINISHED, len(one.mirror.zip("1.0.0")))
    assert one.mirror.fetches == 1


async def test_only_the_first_runner_waits_for_an_upstream_that_is_away(one: Process) -> None:
    clock = FakeClock()
    offered = EnginesOffered(one.engines, clock, Mirrors(missing_seconds=60))
    one.mirror.failing = "releases.test does not answer"
    for _ in range(3):
        answer = await offered.find("terraform", "latest", *PLATFORM)
        assert answer["engine"] is None
        assert "releases.test does not answer" in answer["reason"]
    assert one.mirror.indexes == 1
    one.mirror.failing = None
    one.cache.upstreams.troubles.forget(TERRAFORM, "", None)  # which goes by another clock
    clock.advance(timedelta(seconds=61))
    assert (await offered.find("terraform", "latest", *PLATFORM))["engine"]["version"] == "1.1.0"


async def test_a_runner_is_not_told_to_ask_where_that_is_switched_off_or_nobody_has_the_tool(one: Process) -> None:
    clock = SystemClock()
    assert EnginesOffered(one.engines, clock, Mirrors()).to("terraform")
    assert EnginesOffered(one.engines, clock, Mirrors()).to(None)
    assert not EnginesOffered(one.engines, clock, Mirrors()).to("tofu")
    assert not EnginesOffered(one.engines, clock, Mirrors(engines=False)).to("terraform")

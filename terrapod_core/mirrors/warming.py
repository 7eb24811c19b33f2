"""Engines that are brought into the cache before anybody needs them, and out of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, NotFound, TerrapodError, Unavailable
from terrapod_core.jobs import Jobs
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.documents import WarmEngines
from terrapod_core.mirrors.engines import TOOLS, Engine, EngineCache, checked_tool
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.models import MirrorPackage, MirrorWarming
from terrapod_core.mirrors.queries import Kept
from terrapod_core.plugin import EngineSource, Platform
from terrapod_core.plugin.events import Event
from terrapod_core.storage.discards import discard

KEPT: Final = timedelta(days=7)
"""How long it can be looked at how a warming went."""
NOTE_SECONDS: Final = 1.0
"""Between two notes of how much has come."""

WARM: Final = "warm the binary cache"
PURGE: Final = "remove engines from the binary cache"
LOOK: Final = "look into the binary cache"

UsedBy = Callable[[Session, str, str], Sequence[str]]
"""The ids of runs that work with an engine (tool, version) now."""


class WarmingStatus(StrEnum):
    """How far a warming is."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    ERRORED = "errored"


@dataclass(frozen=True)
class EngineWarmingAsked(Event):
    """Somebody wants an engine in the cache."""

    warming_id: str


@dataclass(frozen=True)
class Warming:
    """A warming, and what is warmed."""

    row: MirrorWarming
    kept: Kept


class EngineCare:
    """What platform admins do with cached engines; `app` hands in who uses one now."""

    def __init__(self, db: Database, authz: Authorizer, cache: EngineCache, packages: Packages, used_by: UsedBy) -> None:
        self._db = db
        self._authz = authz
        self._cache = cache
        self._packages = packages
        self._used_by = used_by

    def register(self, jobs: Jobs) -> None:
        """Have warmings carried out."""
        jobs.on(EngineWarmingAsked, "mirrors.warm-engine", self.carry_out)

    async def list(self, actor: Actor, page: PageRequest) -> Page[Kept]:
        """One page of the zips that are here, the last used first; for platform admins and auditors."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to=LOOK)
        sources = [EngineSource(tool) for tool in TOOLS]
        return await self._db.read(lambda session: queries.cached(session, sources, page))

    async def warm(self, actor: Actor, wanted: WarmEngines) -> Sequence[Warming]:
        """One warming for each platform, all of the same version; what is here already is finished.

        Version, sums and signature are seen to now, so that what cannot be had is said now; the zips are fetched by a job. Raises as
        `EngineCache.find`.
        """
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=WARM)
        engines: list[Engine] = []
        for platform in wanted.checked_platforms():
            engines.append(await self._cache.find(wanted.tool, engines[0].version if engines else wanted.version, platform))
        async with self._db.uow() as uow:
            await uow.session.execute(delete(MirrorWarming).where(MirrorWarming.created_at < uow.now() - KEPT))
            made = [_asked(uow, engine) for engine in engines]
            platforms = [str(each.platform) for each in engines]
            audit.record(uow, actor, "binary-cache.warm", "binary-cache", engines[0].tool, version=engines[0].version, platforms=platforms)
            await uow.commit()
        return made

    async def read(self, actor: Actor, warming_id: str) -> Warming:
        """How far it is; for platform admins and auditors."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to=LOOK)
        found = await self._db.read(lambda session: queries.warming(session, warming_id))
        if found is None:
            raise NotFound(f"there is no warming {warming_id[:64]!r}; they are kept for {KEPT.days} days")
        return Warming(*found)

    async def carry_out(self, event: EngineWarmingAsked) -> None:
        """Fetch it, and note meanwhile how far that is. May be called twice."""
        found = await self._db.read(lambda session: queries.warming(session, event.warming_id))
        if found is None or found[0].finished_at is not None:
            return
        row, kept = found
        await self._note(row.id, WarmingStatus.RUNNING)
        noting = asyncio.create_task(self._note_progress(row), name=f"mirrors:warming:{row.id}")
        try:
            platform = Platform(kept.package.os, kept.package.arch)
            engine = await self._cache.find(str(kept.source), kept.release.version, platform)
            package = await self._cache.whole(engine)
        except Unavailable:
            raise
        except TerrapodError as error:
            end = partial(self._note, row.id, WarmingStatus.ERRORED, message=error.detail)
        else:
            end = partial(self._note, row.id, WarmingStatus.FINISHED, package.size)
        finally:
            noting.cancel()
            await asyncio.gather(noting, return_exceptions=True)
        await end()

    async def purge(self, actor: Actor, tool: str, version: str, platform: Platform) -> None:
        """Remove the bytes of a zip; what it has to be stays known, so that nothing else can ever take its place.

        Raises `Conflict` while a run works with it.
        """
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=PURGE)
        name = f"{checked_tool(tool)} {version[:64]} for {platform}"
        async with self._db.uow() as uow:
            release = await uow.run(lambda session: queries.release(session, EngineSource(tool), version))
            known = await uow.run(lambda session: queries.package(session, release.id, platform)) if release is not None else None
            row = await uow.session.get(MirrorPackage, known.id, with_for_update=True, populate_existing=True) if known else None
            if row is None or row.object_key is None:
                raise NotFound(f"{name} is not in the cache (its version has to be exact, as the list of the binary cache shows it)")
            runs = await uow.run(lambda session: self._used_by(session, tool, version))
            if runs:
                others = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
                raise Conflict(f"{name} is used by the run {runs[0]}{others}; wait until it has ended, or cancel it", code="engine_in_use")
            discard(uow, [row.object_key])
            row.object_key = None
            audit.record(uow, actor, "binary-cache.purge", "binary-cache", tool, version=version, platform=str(platform))
            await uow.commit()

    async def _note_progress(self, row: MirrorWarming) -> None:
        noted = 0
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            received = self._packages.received(row.package_id) or 0
            if received > noted:
                noted = received
                with contextlib.suppress(Unavailable):
                    await self._note(row.id, WarmingStatus.RUNNING, received)

    async def _note(self, warming_id: str, status: WarmingStatus, received: int | None = None, message: str | None = None) -> None:
        async with self._db.uow() as uow:
            row = await uow.session.get(MirrorWarming, warming_id, with_for_update=True)
            if row is not None:
                row.status, row.message = status.value, message
                row.received = received if received is not None else row.received
                row.finished_at = uow.now() if status in (WarmingStatus.FINISHED, WarmingStatus.ERRORED) else None
            await uow.commit()


def _asked(uow: UnitOfWork, engine: Engine) -> Warming:
    package, now = engine.package, uow.now()
    is_here = package.object_key is not None
    row = MirrorWarming(id=ids.new("mirwarm"), package_id=package.id, created_at=now, message=None)
    row.status = (WarmingStatus.FINISHED if is_here else WarmingStatus.PENDING).value
    row.received, row.finished_at = (package.size or 0, now) if is_here else (0, None)
    uow.add(row)
    if not is_here:
        uow.emit(EngineWarmingAsked(row.id))
    return Warming(row, Kept(package, engine.release.row))

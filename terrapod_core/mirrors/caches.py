"""What is in the caches of providers and modules, for those who care for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.audit import record
from terrapod_core.authz import Actor, Authorizer, PlatformRole
from terrapod_core.db import Database
from terrapod_core.errors import NotFound
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.mirrors import queries
from terrapod_core.mirrors.counts import Held, held
from terrapod_core.mirrors.models import MODULE, PROVIDER, MirrorIndex, MirrorPackage, MirrorRelease, kind_of
from terrapod_core.mirrors.upstreams import named
from terrapod_core.plugin import Platform, Source
from terrapod_core.storage.discards import discard

SEE: Final = "look at the caches"
CARE: Final = "care for the caches"

Rows: TypeAlias = Select[MirrorPackage, MirrorRelease]


@dataclass(frozen=True)
class Cached:
    """A package in a list."""

    id: str
    source: str
    """Its address."""
    version: str
    platform: str | None
    """`None` for a module."""
    filename: str
    sha256: str | None
    h1: str | None
    size: int | None
    cached: bool
    """Whether its bytes are here; the digests are in any case."""
    signed: bool
    key_id: str | None
    uses: int
    misses: int
    fetched_at: datetime | None
    last_used_at: datetime


@dataclass(frozen=True)
class Asked:
    """What an index says of its source."""

    id: str
    """Kind and address."""
    source: str
    versions: int
    changed_at: datetime
    checked_at: datetime
    missing: bool
    failed_at: datetime | None
    failure: str | None


@dataclass(frozen=True)
class Narrowed:
    """What a list is narrowed to; `None` asks nothing."""

    host: str | None = None
    search: str | None = None
    """Part of an address or of a version."""
    cached: bool = False
    """Only what is here."""


class Caches:
    """Lists and purges. What is here may be seen by platform auditors, and purged by platform admins."""

    def __init__(self, db: Database, authz: Authorizer) -> None:
        self._db = db
        self._authz = authz

    async def packages(self, actor: Actor, kind: str, narrowed: Narrowed, page: PageRequest) -> Page[Cached]:
        """One page, by address, version and platform. Raises `Forbidden`."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to=SEE)
        return await self._db.read(lambda session: _packages(session, kind, narrowed, page))

    async def sources(self, actor: Actor, narrowed: Narrowed, page: PageRequest, *, failing: bool = False) -> Page[Asked]:
        """What each source's index says, by address. Raises `Forbidden`."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to=SEE)
        return await self._db.read(lambda session: _sources(session, narrowed, page, failing=failing))

    async def held(self, actor: Actor) -> list[Held]:
        """How much is here, by kind. Raises `Forbidden`."""
        self._authz.require_platform(actor, PlatformRole.AUDIT, to=SEE)
        return await self._db.read(held)

    async def purge(self, actor: Actor, source: Source, version: str, platform: Platform | None) -> None:
        """Remove the bytes of a version, for one platform or (`None`) for all; what is pinned stays. Raises `Forbidden` and `NotFound`."""
        self._authz.require_platform(actor, PlatformRole.ADMIN, to=CARE)
        async with self._db.uow() as uow:
            release = await uow.run(lambda session: queries.release(session, source, version))
            rows = await uow.run(lambda session: _locked(session, release, platform)) if release is not None else []
            there = [row for row in rows if row.object_key is not None]
            if not there:
                raise NotFound(f"{named(source, version, platform)} is not in the cache")
            discard(uow, [row.object_key for row in there])
            for row in there:
                row.object_key = None
            platforms = [str(row.platform) for row in there if row.platform is not None]
            record(uow, actor, "cache.purge", f"{kind_of(source)}-cache", f"{source}/{version}", platforms=platforms)
            await uow.commit()


def _locked(session: Session, release: MirrorRelease, platform: Platform | None) -> list[MirrorPackage]:
    query = select(MirrorPackage).where(MirrorPackage.release_id == release.id).order_by(MirrorPackage.id).with_for_update()
    rows = session.execute(query).scalars()
    return [row for row in rows if platform is None or row.platform == platform]


def _packages(session: Session, kind: str, narrowed: Narrowed, page: PageRequest) -> Page[Cached]:
    query: Rows = select(MirrorPackage, MirrorRelease).join(MirrorRelease, MirrorRelease.id == MirrorPackage.release_id)
    query = query.where(MirrorRelease.source.startswith(f"{kind}:", autoescape=True))
    if narrowed.host is not None:
        query = query.where(MirrorRelease.source.startswith(f"{kind}:{narrowed.host}/", autoescape=True))
    if narrowed.search:
        found = (column.contains(narrowed.search, autoescape=True) for column in (MirrorRelease.source, MirrorRelease.version))
        query = query.where(or_(*found))
    if narrowed.cached:
        query = query.where(MirrorPackage.object_key.is_not(None))
    total = session.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    query = query.order_by(MirrorRelease.source, MirrorRelease.version, MirrorPackage.os, MirrorPackage.arch)
    rows = session.execute(query.offset(page.offset).limit(page.size)).all()
    return Page([_cached(package, release) for package, release in rows], page.number, page.size, total)


def _cached(package: MirrorPackage, release: MirrorRelease) -> Cached:
    return Cached(
        id=package.id,
        source=release.source.partition(":")[2],
        version=release.version,
        platform=str(package.platform) if package.platform is not None else None,
        filename=package.filename,
        sha256=package.sha256,
        h1=package.h1,
        size=package.size,
        cached=package.object_key is not None,
        signed=release.sums is not None,
        key_id=release.key_id,
        uses=package.uses,
        misses=package.misses,
        fetched_at=package.fetched_at,
        last_used_at=package.last_used_at,
    )


def _sources(session: Session, narrowed: Narrowed, page: PageRequest, *, failing: bool) -> Page[Asked]:
    query = select(MirrorIndex)
    if narrowed.host is not None:
        starts = (MirrorIndex.source.startswith(f"{kind}:{narrowed.host}/", autoescape=True) for kind in (PROVIDER, MODULE))
        query = query.where(or_(*starts))
    if narrowed.search:
        query = query.where(MirrorIndex.source.contains(narrowed.search, autoescape=True))
    if failing:
        query = query.where(MirrorIndex.failed_at.is_not(None))
    total = session.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    rows = session.execute(query.order_by(MirrorIndex.source).offset(page.offset).limit(page.size)).scalars()
    return Page([_asked(row) for row in rows], page.number, page.size, total)


def _asked(row: MirrorIndex) -> Asked:
    return Asked(
        id=row.source,
        source=row.source.partition(":")[2],
        versions=len(row.versions),
        changed_at=row.changed_at,
        checked_at=row.checked_at,
        missing=row.is_missing,
        failed_at=row.failed_at,
        failure=row.failure,
    )

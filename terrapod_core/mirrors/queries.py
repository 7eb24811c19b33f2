"""Reads of what is in the caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from terrapod_core.db import LookUp
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.mirrors.models import (
    IndexState,
    MirrorIndex,
    MirrorKey,
    MirrorPackage,
    MirrorRelease,
    MirrorWarming,
    ReleaseState,
    key_of,
    source_of,
)
from terrapod_core.plugin import Platform, Source

INDEX_STATE: Final = LookUp(IndexState, select(IndexState).where(IndexState.source == bindparam("source")))
RELEASE_STATE: Final = LookUp(
    ReleaseState, select(ReleaseState).where(ReleaseState.source == bindparam("source"), ReleaseState.version == bindparam("version"))
)


@dataclass(frozen=True)
class Kept:
    """A file together with the release that it is of."""

    package: MirrorPackage
    release: MirrorRelease

    @property
    def source(self) -> Source:
        """Whose release it is."""
        return source_of(self.release.source)


def index(session: Session, source: Source) -> MirrorIndex | None:
    """What is remembered of a source's versions."""
    return session.get(MirrorIndex, key_of(source))


def release(session: Session, source: Source, version: str) -> MirrorRelease | None:
    """What was verified of a version."""
    query = select(MirrorRelease).where(MirrorRelease.source == key_of(source), MirrorRelease.version == version)
    return session.execute(query).scalar_one_or_none()


def packages(session: Session, release_id: str) -> Sequence[MirrorPackage]:
    """The files of a release, in the order of their platforms."""
    query = select(MirrorPackage).where(MirrorPackage.release_id == release_id).order_by(MirrorPackage.os, MirrorPackage.arch)
    return session.execute(query).scalars().all()


def package(session: Session, release_id: str, platform: Platform | None) -> MirrorPackage | None:
    """One of them."""
    os, arch = platform or ("", "")
    query = select(MirrorPackage).where(MirrorPackage.release_id == release_id, MirrorPackage.os == os, MirrorPackage.arch == arch)
    return session.execute(query).scalar_one_or_none()


def package_by_id(session: Session, package_id: str) -> MirrorPackage | None:
    """One file, by its id."""
    return session.get(MirrorPackage, package_id)


def release_of_package(session: Session, package_id: str) -> tuple[MirrorRelease, MirrorPackage] | None:
    """A file, by its id, and the release that it belongs to."""
    query = select(MirrorRelease, MirrorPackage).join(MirrorPackage, MirrorPackage.release_id == MirrorRelease.id)
    found = session.execute(query.where(MirrorPackage.id == package_id)).one_or_none()
    return (found[0], found[1]) if found is not None else None


def release_by_id(session: Session, release_id: str) -> MirrorRelease | None:
    """What was verified of a version, by its id."""
    return session.get(MirrorRelease, release_id)


def raise_revision(session: Session, release_id: str) -> None:
    """Clients are told something else of a release's files from now on."""
    session.execute(update(MirrorRelease).where(MirrorRelease.id == release_id).values(revision=MirrorRelease.revision + 1))


def keys(session: Session, scope: str) -> Sequence[MirrorKey]:
    """The keys that may sign what is of a namespace, the first first."""
    return (
        session.execute(select(MirrorKey).where(MirrorKey.scope == scope).order_by(MirrorKey.pinned_at, MirrorKey.fingerprint))
        .scalars()
        .all()
    )


def packages_of(session: Session, package_ids: Sequence[str]) -> list[Kept]:
    """Files by their ids, with their releases; what is gone is left out."""
    query = select(MirrorPackage, MirrorRelease).join(MirrorRelease, MirrorRelease.id == MirrorPackage.release_id)
    return [Kept(package, release) for package, release in session.execute(query.where(MirrorPackage.id.in_(package_ids)))]


def cached(session: Session, sources: Sequence[Source], page: PageRequest) -> Page[Kept]:
    """One page of the files of these sources whose bytes are here, the last used first."""
    here = MirrorPackage.object_key.is_not(None) & MirrorRelease.source.in_([key_of(each) for each in sources])
    joined = MirrorRelease.id == MirrorPackage.release_id
    total = session.execute(select(func.count()).select_from(MirrorPackage).join(MirrorRelease, joined).where(here)).scalar_one()
    query = select(MirrorPackage, MirrorRelease).join(MirrorRelease, joined).where(here)
    query = query.order_by(MirrorPackage.last_used_at.desc(), MirrorPackage.id).offset(page.offset).limit(page.size)
    return Page([Kept(*row) for row in session.execute(query)], page.number, page.size, total)


def cached_versions(session: Session, source: Source, platform: Platform) -> Sequence[str]:
    """The versions of a source whose file for this platform is here."""
    query = select(MirrorRelease.version).join(MirrorPackage, MirrorPackage.release_id == MirrorRelease.id)
    query = query.where(MirrorRelease.source == key_of(source), MirrorPackage.object_key.is_not(None))
    return session.execute(query.where(MirrorPackage.os == platform.os, MirrorPackage.arch == platform.arch)).scalars().all()


def all_keys(session: Session, page: PageRequest) -> Page[MirrorKey]:
    """One page of all keys, by what they are for."""
    total = session.execute(select(func.count()).select_from(MirrorKey)).scalar_one()
    query = select(MirrorKey).order_by(MirrorKey.scope, MirrorKey.pinned_at, MirrorKey.fingerprint).offset(page.offset).limit(page.size)
    return Page(session.execute(query).scalars().all(), page.number, page.size, total)


def each_key(session: Session) -> Sequence[MirrorKey]:
    """All keys; a few hundred at most."""
    return session.execute(select(MirrorKey)).scalars().all()


def indexes_of_namespace(session: Session, namespace: str, most: int) -> Sequence[MirrorIndex]:
    """What is remembered of the providers of `<host>/<namespace>`, those that changed last first."""
    query = select(MirrorIndex).where(MirrorIndex.source.startswith(f"provider:{namespace}/", autoescape=True))
    return session.execute(query.order_by(MirrorIndex.changed_at.desc(), MirrorIndex.source).limit(most)).scalars().all()


def warming(session: Session, warming_id: str) -> tuple[MirrorWarming, Kept] | None:
    """A warming, with what it warms."""
    row = session.get(MirrorWarming, warming_id)
    found = packages_of(session, [row.package_id]) if row is not None else []
    return (row, found[0]) if row is not None and found else None

"""Reads of what is in the caches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from terrapod_core.db import LookUp
from terrapod_core.mirrors.models import IndexState, MirrorIndex, MirrorKey, MirrorPackage, MirrorRelease, ReleaseState, key_of
from terrapod_core.plugin import Platform, Source

INDEX_STATE: Final = LookUp(IndexState, select(IndexState).where(IndexState.source == bindparam("source")))
RELEASE_STATE: Final = LookUp(
    ReleaseState, select(ReleaseState).where(ReleaseState.source == bindparam("source"), ReleaseState.version == bindparam("version"))
)


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

"""Reading configuration versions. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.configurations.models import ConfigurationStatus, ConfigurationVersion
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.workspaces import Workspace

NEWEST = (ConfigurationVersion.created_at.desc(), ConfigurationVersion.id.desc())


def by_id(session: Session, version_id: str) -> ConfigurationVersion | None:
    """The configuration version, or `None`; says nothing about who may see it."""
    return session.execute(select(ConfigurationVersion).where(ConfigurationVersion.id == version_id)).scalar_one_or_none()


def for_update(session: Session, version_id: str) -> ConfigurationVersion | None:
    """The same, with its row locked until the transaction ends."""
    query = select(ConfigurationVersion).where(ConfigurationVersion.id == version_id)
    return session.execute(query.with_for_update().execution_options(populate_existing=True)).scalar_one_or_none()


def latest_usable(session: Session, workspace_id: str) -> ConfigurationVersion | None:
    """The one a run takes that names none: the newest that is uploaded and neither speculative nor provisional."""
    query = (
        select(ConfigurationVersion)
        .where(
            ConfigurationVersion.workspace_id == workspace_id,
            ConfigurationVersion.status == ConfigurationStatus.UPLOADED.value,
            ConfigurationVersion.speculative.is_(False),
            ConfigurationVersion.provisional.is_(False),
        )
        .order_by(*NEWEST)
        .limit(1)
    )
    return session.execute(query).scalar_one_or_none()


def listing(session: Session, workspace_id: str, page: PageRequest) -> Page[ConfigurationVersion]:
    """One page of a workspace's configuration versions, newest first."""
    found = select(ConfigurationVersion).where(ConfigurationVersion.workspace_id == workspace_id)
    total = session.execute(select(func.count()).select_from(found.subquery())).scalar_one()
    rows = session.execute(found.order_by(*NEWEST).offset(page.offset).limit(page.size)).scalars().all()
    return Page(rows, page.number, page.size, total)


def visible(session: Session, authz: Authorizer, actor: Actor, wanted: Sequence[str]) -> Sequence[tuple[ConfigurationVersion, Workspace]]:
    """Those of `wanted` that the actor may read, each with its workspace."""
    pairs = (
        select(ConfigurationVersion, Workspace)
        .join(Workspace, Workspace.id == ConfigurationVersion.workspace_id)
        .where(ConfigurationVersion.id.in_(wanted), Workspace.deleted_at.is_(None))
    )
    return [(row[0], row[1]) for row in session.execute(pairs) if authz.allows(actor, Permission.CONFIGURATION_READ, row[1])]


def overdue(session: Session, now: datetime, most: int) -> Sequence[ConfigurationVersion]:
    """Pending ones whose archive can no longer come, the oldest first."""
    query = (
        select(ConfigurationVersion)
        .where(ConfigurationVersion.status == ConfigurationStatus.PENDING.value, ConfigurationVersion.upload_expires_at <= now)
        .order_by(ConfigurationVersion.upload_expires_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return session.execute(query).scalars().all()


def old(session: Session, before: datetime, used: Select[str], after: str, most: int) -> Sequence[str]:
    """Ids behind `after` of uploaded versions made before that moment that are neither current, nor the newest usable, nor `used`."""
    newer = aliased(ConfigurationVersion)
    is_newer = or_(
        newer.created_at > ConfigurationVersion.created_at,
        and_(newer.created_at == ConfigurationVersion.created_at, newer.id > ConfigurationVersion.id),
    )
    usable = (newer.status == ConfigurationStatus.UPLOADED.value, newer.speculative.is_(False), newer.provisional.is_(False))
    overtaken = exists().where(newer.workspace_id == ConfigurationVersion.workspace_id, *usable, is_newer)
    query = (
        select(ConfigurationVersion.id)
        .where(
            ConfigurationVersion.status == ConfigurationStatus.UPLOADED.value,
            ConfigurationVersion.created_at < before,
            ConfigurationVersion.id > after,
            or_(ConfigurationVersion.speculative, ConfigurationVersion.provisional, overtaken),
            exists().where(Workspace.id == ConfigurationVersion.workspace_id, Workspace.deleted_at.is_(None)),
            ~exists().where(Workspace.current_configuration_version_id == ConfigurationVersion.id),
            ConfigurationVersion.id.not_in(used),
        )
        .order_by(ConfigurationVersion.id)
        .limit(most)
    )
    return session.execute(query).scalars().all()


LEFT: Final = exists().where(ConfigurationVersion.workspace_id == Workspace.id)
"""Whether a workspace has configuration versions; for the purge of deleted ones."""


def of_workspace(session: Session, workspace_id: str, most: int) -> Sequence[ConfigurationVersion]:
    """Some of a workspace's rows, in no particular order, locked; for removing them."""
    query = select(ConfigurationVersion).where(ConfigurationVersion.workspace_id == workspace_id).limit(most)
    return session.execute(query.with_for_update()).scalars().all()

"""Reading configuration versions. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

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


def emptied(session: Session, most: int) -> Sequence[ConfigurationVersion]:
    """Archived ones whose object was not removed yet."""
    query = select(ConfigurationVersion).where(
        ConfigurationVersion.status == ConfigurationStatus.ARCHIVED.value, ConfigurationVersion.object_key.is_not(None)
    )
    return session.execute(query.limit(most)).scalars().all()


def of_workspace(session: Session, workspace_id: str, most: int) -> Sequence[ConfigurationVersion]:
    """Some of a workspace's rows, in no particular order; for removing them."""
    return (
        session.execute(select(ConfigurationVersion).where(ConfigurationVersion.workspace_id == workspace_id).limit(most)).scalars().all()
    )

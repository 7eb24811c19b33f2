"""Reading connections and repositories. Everything here runs over a session of `Database.read` or `UnitOfWork.run`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.vcs.models import Connection, Repository


def connection(session: Session, connection_id: str) -> Connection | None:
    """The connection, or `None`; says nothing about who may see it."""
    return session.execute(select(Connection).where(Connection.id == connection_id)).scalar_one_or_none()


def connection_for_update(session: Session, connection_id: str) -> Connection | None:
    """The same, with its row locked until the transaction ends."""
    query = select(Connection).where(Connection.id == connection_id).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def all_connections(session: Session) -> Sequence[Connection]:
    """Every connection, by name: there are few."""
    return session.execute(select(Connection).order_by(Connection.name)).scalars().all()


def of_provider(session: Session, provider: str) -> Sequence[str]:
    """The ids of a provider's connections."""
    return session.execute(select(Connection.id).where(Connection.provider == provider)).scalars().all()


def repository(session: Session, repository_id: str) -> Repository | None:
    """The repository, or `None`."""
    return session.execute(select(Repository).where(Repository.id == repository_id)).scalar_one_or_none()


def repository_at(session: Session, connection_id: str, path: str) -> Repository | None:
    """The repository of this name; forges do not mind the case."""
    query = select(Repository).where(Repository.connection_id == connection_id, func.lower(Repository.path) == path.lower())
    return session.execute(query.limit(1)).scalar_one_or_none()


def named(session: Session, connection_ids: Collection[str], path: str, *, lock: bool = True) -> Sequence[Repository]:
    """The repositories of this name, of several connections."""
    query = select(Repository).where(Repository.connection_id.in_(connection_ids), func.lower(Repository.path) == path.lower())
    return session.execute(query.with_for_update() if lock else query).scalars().all()


def connections(session: Session, wanted: Collection[str]) -> Sequence[Connection]:
    """Those of these ids."""
    return session.execute(select(Connection).where(Connection.id.in_(wanted))).scalars().all()


def due_ids(session: Session, now: datetime, most: int) -> Sequence[str]:
    """The ids of repositories that are to be looked at now: whether there is anything to lock."""
    return session.execute(_due(now).with_only_columns(Repository.id).limit(most)).scalars().all()


def due(session: Session, now: datetime, most: int) -> Sequence[Repository]:
    """Repositories that are to be looked at now and that no process looks at, locked; those of connections that rest are left out."""
    query = _due(now).order_by(Repository.next_poll_at).limit(most).with_for_update(skip_locked=True, of=Repository)
    return session.execute(query).scalars().all()


def _due(now: datetime) -> Select[Repository]:
    return (
        select(Repository)
        .join(Connection, Connection.id == Repository.connection_id)
        .where(
            Repository.next_poll_at <= now,
            or_(Repository.claimed_until.is_(None), Repository.claimed_until <= now),
            or_(Connection.rests_until.is_(None), Connection.rests_until <= now),
        )
    )


def next_due(session: Session, now: datetime) -> datetime | None:
    """When the next repository is to be looked at; `None` for never. One that is looked at counts when its claim ends, those of a
    connection that rests when it has rested."""
    idle = select(Repository.next_poll_at).join(Connection, Connection.id == Repository.connection_id)
    idle = idle.where(Repository.next_poll_at.is_not(None), Repository.claimed_until.is_(None))
    idle = idle.where(or_(Connection.rests_until.is_(None), Connection.rests_until <= now)).order_by(Repository.next_poll_at).limit(1)
    claimed = select(func.min(Repository.claimed_until)).where(Repository.next_poll_at <= now)
    resting = select(func.min(Connection.rests_until)).where(Connection.rests_until > now)
    times = [session.execute(query).scalar_one_or_none() for query in (idle, claimed, resting)]
    return min((each for each in times if each is not None), default=None)


def listing(session: Session, connection_id: str, page: PageRequest) -> Page[Repository]:
    """One page of a connection's repositories that are followed, by name."""
    found: Select[Repository] = select(Repository).where(Repository.connection_id == connection_id, Repository.next_poll_at.is_not(None))
    total = session.execute(select(func.count()).select_from(found.subquery())).scalar_one()
    rows = session.execute(found.order_by(Repository.path).offset(page.offset).limit(page.size)).scalars().all()
    return Page(rows, page.number, page.size, total)


def followed_counts(session: Session, connection_ids: Collection[str]) -> dict[str, int]:
    """How many repositories of each connection somebody follows; those without any are left out."""
    query = select(Repository.connection_id, func.count()).where(
        Repository.connection_id.in_(connection_ids), Repository.next_poll_at.is_not(None)
    )
    return {row[0]: row[1] for row in session.execute(query.group_by(Repository.connection_id))}


def failing(session: Session) -> int:
    """How many repositories that are followed cannot be looked at."""
    query = select(func.count()).where(Repository.trouble_code.is_not(None), Repository.next_poll_at.is_not(None))
    return session.execute(query).scalar_one()

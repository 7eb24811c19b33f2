"""What the engine asks its tables. Everything here runs over a session of `PluginTables`; the caller commits."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, CursorResult, Update, delete, exists, func, select, update
from sqlalchemy.orm import Session

from terrapod_sync.models import GLOBAL_ID, Conflict, GlobalConfig, Sync, SyncedWorkspace
from terrapod_sync.words import ConflictKind, ConflictResolution, Status

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BLOCKING: Final = (ConflictKind.POLICY, ConflictKind.DESTRUCTIVE_PLAN, ConflictKind.STATE, ConflictKind.CONFIG)
"""Kinds that wait for a person; a lock goes away by itself."""
PARKED: Final = (ConflictKind.POLICY, ConflictKind.DESTRUCTIVE_PLAN)
"""Kinds with a saved plan that a person may look at."""
WAITING: Final = (Status.AWAITING_APPROVAL, Status.CONFLICT)
"""Of syncs whose plan lies there for a person."""
_SYNC_ID: Final = re.compile(r"(sync-[1-9A-HJ-NP-Za-km-z]{16})$")


class Due(NamedTuple):
    """A workspace whose moment has come."""

    workspace_id: str
    next_at: datetime
    under_way: bool


def new_id(prefix: str) -> str:
    """`sync-…`, as the core's ids are."""
    return f"{prefix}-" + "".join(secrets.choice(ALPHABET) for _ in range(16))


def settings_of(session: Session) -> tuple[bool, ConflictResolution]:
    """Whether the Sync API is on, and what is done about conflicts."""
    found = session.get(GlobalConfig, GLOBAL_ID)
    return (found.enabled, ConflictResolution(found.conflict_resolution)) if found is not None else (False, ConflictResolution.MANUAL)


def due(session: Session, now: datetime, most: int) -> list[Due]:
    """What is due, the longest overdue first; nothing while the Sync API is switched off."""
    row = SyncedWorkspace
    query = (
        select(row.workspace_id, row.next_at, row.active_sync_id)
        .where(row.next_at <= now, row.enabled.is_(True), exists().where(GlobalConfig.id == GLOBAL_ID, GlobalConfig.enabled.is_(True)))
        .order_by(row.next_at)
        .limit(most)
    )
    return [Due(each.workspace_id, each.next_at, each.active_sync_id is not None) for each in session.execute(query)]


def under_way(session: Session) -> int:
    """How many syncs are."""
    query = select(func.count()).select_from(SyncedWorkspace).where(SyncedWorkspace.active_sync_id.is_not(None))
    return session.execute(query).scalar_one()


def scheduled(session: Session) -> int:
    """How many workspaces are on a schedule."""
    query = select(func.count()).select_from(SyncedWorkspace).where(SyncedWorkspace.enabled.is_(True))
    return session.execute(query).scalar_one()


def concerned(session: Session, workspace_ids: Collection[str]) -> Collection[str]:
    """Those of the workspaces that have an entry."""
    query = select(SyncedWorkspace.workspace_id).where(SyncedWorkspace.workspace_id.in_(workspace_ids))
    return frozenset(session.execute(query).scalars())


def overlooked(session: Session, before: datetime, most: int) -> list[str]:
    """Syncs under way that nobody has looked at since then."""
    row = SyncedWorkspace
    query = select(row.active_sync_id).where(row.active_sync_id.is_not(None), row.looked_at < before).order_by(row.looked_at).limit(most)
    return [each for each in session.execute(query).scalars() if each is not None]


def looked_at(session: Session, sync_ids: Collection[str], now: datetime) -> None:
    """These are being looked at, whatever comes of it: who is looked at in vain has no turn before the others have had theirs."""
    _look_at(session, now, SyncedWorkspace.active_sync_id.in_(sync_ids))


def of_the_future(session: Session, now: datetime) -> bool:
    """Whether a sync has ended later than now: the clock was set back while nobody was there to see it."""
    query = select(SyncedWorkspace.workspace_id).where(SyncedWorkspace.last_sync_at > now).limit(1)
    return session.execute(query).first() is not None


def look_sooner(session: Session, now: datetime) -> None:
    """Nobody looks at what is under way in the future."""
    _look_at(session, now, SyncedWorkspace.active_sync_id.is_not(None), SyncedWorkspace.looked_at > now)


def _look_at(session: Session, now: datetime, *which: ColumnElement[bool]) -> None:
    """Locked in the order of everybody who locks several, so that nobody waits for somebody who waits for them."""
    row = SyncedWorkspace
    session.execute(select(row.workspace_id).where(*which).order_by(row.workspace_id).with_for_update()).all()
    changed(session, update(row).where(*which).values(looked_at=now))


def postpone(session: Session, due: Due, until: datetime) -> None:
    """Have a due moment come later, if it is still the one that was seen."""
    row = SyncedWorkspace
    changed(session, update(row).where(row.workspace_id == due.workspace_id, row.next_at == due.next_at).values(next_at=until))


def armed(session: Session, after: str, most: int) -> Sequence[SyncedWorkspace]:
    """Rows behind this id that wait for their next moment, with their locks."""
    row = SyncedWorkspace
    query = select(row).where(row.workspace_id > after, row.next_at.is_not(None)).order_by(row.workspace_id).limit(most)
    return session.execute(query.with_for_update().execution_options(populate_existing=True)).scalars().all()


def locked(session: Session, workspace_id: str) -> SyncedWorkspace | None:
    """The row, locked until the transaction ends."""
    query = select(SyncedWorkspace).where(SyncedWorkspace.workspace_id == workspace_id)
    return session.execute(query.with_for_update().execution_options(populate_existing=True)).scalar_one_or_none()


def claim(session: Session, workspace_id: str, sync_id: str, now: datetime, seen: datetime | None = None) -> SyncedWorkspace | None:
    """Make this sync the one under way: the row, or `None` when there is one already, or somebody saw the due moment earlier."""
    row = SyncedWorkspace
    statement = update(row).where(row.workspace_id == workspace_id, row.active_sync_id.is_(None))
    if seen is not None:
        statement = statement.where(row.next_at == seen, row.enabled.is_(True))
    if changed(session, statement.values(active_sync_id=sync_id, looked_at=now)) != 1:
        return None
    return locked(session, workspace_id)


def let_go(session: Session, sync_id: str) -> bool:
    """Whether this sync was said to be under way; it is not any more."""
    row = SyncedWorkspace
    return bool(changed(session, update(row).where(row.active_sync_id == sync_id).values(active_sync_id=None, looked_at=None)))


def changed(session: Session, statement: Update) -> int:
    """How many rows a statement changed."""
    result: CursorResult[Any] = session.execute(statement.execution_options(synchronize_session=False))  # type: ignore[assignment]
    return result.rowcount


def sync_with_row(session: Session, sync_id: str) -> tuple[Sync, SyncedWorkspace] | None:
    """A sync and its workspace's row, the row locked where a transaction changes it."""
    sync = session.get(Sync, sync_id, populate_existing=True)
    row = session.get(SyncedWorkspace, sync.workspace_id, populate_existing=True) if sync is not None else None
    return (sync, row) if sync is not None and row is not None else None


def locked_with_row(session: Session, sync_id: str) -> tuple[Sync, SyncedWorkspace] | None:
    """The same, with the row locked until the transaction ends: first the row, so that nobody waits for somebody who waits for them."""
    workspace_id = session.execute(select(Sync.workspace_id).where(Sync.id == sync_id)).scalar_one_or_none()
    row = locked(session, workspace_id) if workspace_id is not None else None
    sync = session.get(Sync, sync_id, populate_existing=True) if row is not None else None
    return (sync, row) if sync is not None and row is not None else None


def sync_of(session: Session, workspace_id: str, run_id: str, message: str = "") -> Sync | None:
    """The sync that this run is of; also one that did not come to note its run, by the id in the run's message."""
    found = session.execute(select(Sync).where(Sync.run_id == run_id)).scalars().first()
    if found is None and (named := _SYNC_ID.search(message)) is not None:
        found = session.get(Sync, named[1])
    return found if found is not None and found.workspace_id == workspace_id and found.run_id in (None, run_id) else None


def is_current(row: SyncedWorkspace, sync: Sync) -> bool:
    """Whether what becomes of the sync is how the workspace stands: it is under way, or was the last one."""
    if row.active_sync_id is not None:
        return row.active_sync_id == sync.id
    return sync.run_id is not None and row.last_run_id == sync.run_id


def left_over(session: Session, workspace_id: str, but: str) -> list[tuple[str, str]]:
    """Id and run of syncs whose saved plan still lies there, of a workspace for which another is made now."""
    own = select(Sync.id, Sync.run_id).where(Sync.workspace_id == workspace_id, Sync.id != but, Sync.run_id.is_not(None))
    queries = (own.where(Sync.ended_at.is_(None), Sync.status.in_(WAITING)), own.where(Sync.given_up))
    return [(each.id, each.run_id) for query in queries for each in session.execute(query)]


def given_up(session: Session, most: int) -> Sequence[Sync]:
    """Syncs that are over, and whose run nobody has come to discard, the newest first: the old ones may be nobody's any more."""
    return session.execute(select(Sync).where(Sync.given_up).order_by(Sync.created_at.desc()).limit(most)).scalars().all()


def discarded(session: Session, sync_id: str) -> None:
    """The run of a sync that was given up is discarded."""
    changed(session, update(Sync).where(Sync.id == sync_id).values(given_up=False))


def open_conflicts(session: Session, workspace_id: str, kinds: Sequence[ConflictKind] = BLOCKING) -> Sequence[Conflict]:
    """Conflicts of these kinds that are not over."""
    query = select(Conflict).where(Conflict.workspace_id == workspace_id, Conflict.status == "open", Conflict.kind.in_(kinds))
    return session.execute(query).scalars().all()


def pass_conflicts(session: Session, workspace_id: str, now: datetime, kinds: Sequence[ConflictKind] = tuple(ConflictKind)) -> int:
    """What kept it from going on is no longer so."""
    which = (Conflict.workspace_id == workspace_id, Conflict.status == "open", Conflict.kind.in_(kinds))
    return changed(session, update(Conflict).where(*which).values(status="passed", resolved_at=now))


def outdated(session: Session, before: datetime, most: int) -> int:
    """Remove so many of the syncs and conflicts that were over before that moment; how many there were."""
    number = 0
    for table, over in ((Conflict, Conflict.resolved_at), (Sync, Sync.ended_at)):
        old = select(table.id).where(over < before).order_by(over).limit(most)
        result: CursorResult[Any] = session.execute(  # type: ignore[assignment]
            delete(table).where(table.id.in_(old.scalar_subquery())).execution_options(synchronize_session=False)
        )
        number = max(number, result.rowcount)
    return number


def forget(session: Session, workspace_id: str) -> None:
    """Remove all that is kept of a workspace."""
    for table in (Conflict, Sync, SyncedWorkspace):
        session.execute(delete(table).where(table.workspace_id == workspace_id).execution_options(synchronize_session=False))

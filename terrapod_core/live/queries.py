"""Reading what was told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from terrapod_core.db import HEAD_ID, EventHead, ToldEvent, UnitOfWork
from terrapod_core.workspaces import Workspace


def head(session: Session) -> EventHead:
    """How far the ids go, and from where on events are kept."""
    return session.get_one(EventHead, HEAD_ID)


def after(session: Session, position: int, limit: int, *, until: int | None = None, workspace_id: str | None = None) -> list[ToldEvent]:
    """The events after `position`, in their order: of one workspace, or of all."""
    query = select(ToldEvent).where(ToldEvent.id > position).order_by(ToldEvent.id).limit(limit)
    if until is not None:
        query = query.where(ToldEvent.id <= until)
    if workspace_id is not None:
        query = query.where(ToldEvent.workspace_id == workspace_id)
    return list(session.execute(query).scalars())


def guarded(session: Session, workspace_ids: Sequence[str]) -> dict[str, Workspace]:
    """The workspaces by id, deleted ones too as long as they have a row: who could see it may hear that it is gone."""
    return {each.id: each for each in session.execute(select(Workspace).where(Workspace.id.in_(workspace_ids))).scalars()}


async def sweep(uow: UnitOfWork, before: datetime) -> int:
    """Keep no event that was told before this moment; how many went."""
    newest: int | None = await uow.session.scalar(select(func.max(ToldEvent.id)).where(ToldEvent.told_at < before))
    if newest is None:
        return 0
    # First the mark: a reader who finds events missing must be able to know why.
    await uow.session.execute(update(EventHead).where(EventHead.id == HEAD_ID).values(swept=newest))
    gone = await uow.session.execute(delete(ToldEvent).where(ToldEvent.id <= newest).returning(ToldEvent.id))
    return len(gone.scalars().all())

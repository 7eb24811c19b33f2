"""How it goes with pools as a whole: whether somebody is there to take a run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from terrapod_core.agents.models import Listener
from terrapod_core.agents.status import takes_runs


@dataclass(frozen=True)
class Standing:
    """What a pool has to offer at a moment."""

    ready: int = 0
    """How many of its listeners take runs: heard within a minute, trusted, not draining."""
    capacity: int = 0
    """How many phases those take at a time, together."""
    last_heard_at: datetime | None = None
    """When any listener of the pool was last heard; `None` when it never had one."""


def standing(session: Session, pool_ids: Collection[str], now: datetime) -> dict[str, Standing]:
    """The standing of each of these pools, one query for all; a pool without listeners, or that is not there, has nothing to offer."""
    if not pool_ids:
        return {}
    ready = takes_runs(now)
    query = select(
        Listener.pool_id,
        func.sum(case((ready, 1), else_=0)),
        func.sum(case((ready, Listener.capacity), else_=0)),
        func.max(Listener.last_seen_at),
    )
    rows = session.execute(query.where(Listener.pool_id.in_(sorted(pool_ids))).group_by(Listener.pool_id)).all()
    found = {pool_id: Standing(number, capacity, heard) for pool_id, number, capacity, heard in rows}
    return {pool_id: found.get(pool_id, Standing()) for pool_id in pool_ids}

"""How many listeners there are, for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from terrapod_core.agents.models import AgentPool, Listener
from terrapod_core.agents.status import ListenerStatus, has_status, takes_runs
from terrapod_core.metrics.definitions import LISTENERS, POOL_CAPACITY, Reading, Sample

MOST_POOLS: Final = 100
"""Pools that are told by name. Platform admins make them, so they are few; the younger ones of more are told together."""

OTHERS: Final = "(others)"


def samples(session: Session, now: datetime, busy: Select[str | None]) -> list[Sample]:
    """Listeners by pool and status, and how much they take. `busy` are the ids of those that carry out runs."""
    names, found = pool_names(session), list[Sample]()
    for status in ListenerStatus:
        condition = has_status(status, now, busy)
        if status is not ListenerStatus.EXITED and condition is not None:
            rows = session.execute(select(Listener.pool_id, func.count()).where(condition).group_by(Listener.pool_id))
            found += by_pool(LISTENERS, names, rows, status.value)
    room = select(Listener.pool_id, func.sum(Listener.capacity)).where(takes_runs(now)).group_by(Listener.pool_id)
    return [*found, *by_pool(POOL_CAPACITY, names, session.execute(room))]


def pool_names(session: Session) -> dict[str | None, str]:
    """What each pool is called in a label, by id."""
    rows = session.execute(select(AgentPool.id, AgentPool.name).order_by(AgentPool.created_at, AgentPool.id))
    return {pool_id: name if index < MOST_POOLS else OTHERS for index, (pool_id, name) in enumerate(rows)}


def by_pool(reading: Reading, names: Mapping[str | None, str], rows: Iterable[tuple[str | None, int]], *more: str) -> list[Sample]:
    """A sample for each name; 0 where no row is."""
    counts = Counter[str]()
    for pool_id, count in rows:
        counts[names.get(pool_id, OTHERS)] += int(count)
    return [(reading, (name, *more), float(counts[name])) for name in dict.fromkeys([*names.values(), *counts])]

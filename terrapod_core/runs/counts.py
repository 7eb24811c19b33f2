"""How many runs and phases there are, for the metrics."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrapod_core.agents import Listener, counts as agents_counts
from terrapod_core.metrics.definitions import PHASES_OLDEST, PHASES_WAITING, POOL_BUSY, RUNS_LIVE, Sample
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.status import FINAL, RunStatus
from terrapod_core.runs.takes import held_by_listeners
from terrapod_core.runs.turns import UNTAKEN
from terrapod_core.workspaces import Workspace


def samples(session: Session, now: datetime) -> list[Sample]:
    """Live runs, and the phases that wait or that listeners have."""
    names = agents_counts.pool_names(session)
    # In the words of the index: what is not over is few among many.
    statuses = [status.value for status in RunStatus if status not in FINAL]
    of_status = select(Run.status, func.count()).where(Run.status.in_(statuses)).group_by(Run.status)
    live = dict(session.execute(of_status).all())
    to_pool = select(Workspace.agent_pool_id, func.count(), func.min(Phase.queued_at))
    waiting = (
        to_pool.select_from(Phase)
        .join(Run, Run.id == Phase.run_id)
        .join(Workspace, Workspace.id == Run.workspace_id)
        .where(UNTAKEN)
        .group_by(Workspace.agent_pool_id)
    )
    rows = session.execute(waiting).all()
    held = select(Listener.pool_id, func.count()).join(Phase, Phase.listener_id == Listener.id).where(*held_by_listeners())
    busy = session.execute(held.group_by(Listener.pool_id)).all()
    oldest = min((queued for _, _, queued in rows if queued is not None), default=now)
    return [
        *((RUNS_LIVE, (status,), float(live.get(status, 0))) for status in statuses),
        *agents_counts.by_pool(PHASES_WAITING, {None: "", **names}, [(pool, count) for pool, count, _ in rows]),
        (PHASES_OLDEST, (), (now - oldest).total_seconds()),
        *agents_counts.by_pool(POOL_BUSY, names, busy),
    ]

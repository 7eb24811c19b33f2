"""How much work waits, for the metrics."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrapod_core.db import OutboxRow
from terrapod_core.jobs.models import Job
from terrapod_core.metrics.definitions import JOBS_DEAD, JOBS_OLDEST, JOBS_WAITING, OUTBOX_OLDEST, Sample


def samples(session: Session, now: datetime) -> list[Sample]:
    """Jobs that wait or were laid aside, and events that were not told yet."""
    due = select(func.count(), func.min(Job.run_at)).where(Job.dead_at.is_(None), Job.run_at <= now, Job.claimed_until.is_(None))
    waiting, oldest = session.execute(due).one()
    dead = session.execute(select(func.count()).select_from(Job).where(Job.dead_at.is_not(None))).scalar_one()
    event = session.execute(select(OutboxRow.created_at).order_by(OutboxRow.number).limit(1)).scalar_one_or_none()
    oldest, event = oldest if waiting else now, event if event is not None else now
    return [
        (JOBS_WAITING, (), float(waiting)),
        (JOBS_OLDEST, (), (now - oldest).total_seconds()),
        (JOBS_DEAD, (), float(dead)),
        (OUTBOX_OLDEST, (), (now - event).total_seconds()),
    ]

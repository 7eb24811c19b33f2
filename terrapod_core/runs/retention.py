"""Removal of what old runs left: logs, plan files and plan JSON, after the days that the settings say. Runs themselves stay.

Only ended runs are looked at: a saved plan that waits, and a run that waits for somebody, keep what they have however old it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from sqlalchemy import TextClause, delete, select
from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import SYSTEM
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.runs.logs import REMOVED
from terrapod_core.runs.models import KEPT_LOG, KEPT_PLAN, LogChunk, Phase, Run
from terrapod_core.runs.status import FINAL
from terrapod_core.settings import Retention
from terrapod_core.storage import Objects
from terrapod_core.storage.discards import discard, remove_discarded

BATCH: Final = 100

Forget: TypeAlias = Callable[[UnitOfWork, Sequence[Phase]], Awaitable[None]]
"""Lets phases go of what they have."""


class OldRuns:
    """Removes what is too old, a batch in a transaction; may be interrupted and repeated anywhere."""

    def __init__(self, db: Database, objects: Objects, retention: Retention) -> None:
        self._db = db
        self._objects = objects
        self._retention = retention

    async def tidy(self) -> None:
        """Remove all that is due; called by the clock."""
        await self._remove(self._retention.log_days, KEPT_LOG, _forget_logs)
        await self._remove(self._retention.plan_days, KEPT_PLAN, _forget_plans)
        await remove_discarded(self._db, self._objects)

    async def _remove(self, days: int | None, kept: TextClause, forget: Forget) -> None:
        if days is None:
            return
        old = self._db.clock.now() - timedelta(days=days)
        while await self._remove_batch(old, kept, forget):
            pass

    async def _remove_batch(self, old: datetime, kept: TextClause, forget: Forget) -> bool:
        """Whether there was anything to remove."""
        async with self._db.uow() as uow:
            found = await uow.run(lambda session: _batch(session, old, kept))
            await forget(uow, found)
            await uow.commit()
        return bool(found)


def _batch(session: Session, old: datetime, kept: TextClause) -> Sequence[Phase]:
    """Phases with something to remove, the oldest first; those that another transaction has are left for the next time."""
    query = select(Phase).join(Run, Run.id == Phase.run_id).where(Phase.finished_at < old, kept, Run.status.in_(FINAL))
    query = query.order_by(Phase.finished_at).limit(BATCH).with_for_update(skip_locked=True, of=Phase)
    return session.execute(query).scalars().all()


async def _forget_logs(uow: UnitOfWork, phases: Sequence[Phase]) -> None:
    for phase in phases:
        discard(uow, [phase.log_key])
        phase.log_key, phase.log_removed_at, phase.log_size = None, uow.now(), len(REMOVED)
        audit.record(uow, SYSTEM, "run.remove-log", "runs", phase.run_id, phase=phase.id, reason="retention")
    await uow.session.execute(delete(LogChunk).where(LogChunk.phase_id.in_([phase.id for phase in phases])))


async def _forget_plans(uow: UnitOfWork, phases: Sequence[Phase]) -> None:
    for phase in phases:
        discard(uow, [phase.plan_file_key, phase.plan_json_key, phase.provider_schemas_key])
        phase.plan_file_key = phase.plan_json_key = phase.provider_schemas_key = None
        phase.plan_removed_at = uow.now()
        audit.record(uow, SYSTEM, "run.remove-plan", "runs", phase.run_id, phase=phase.id, reason="retention")

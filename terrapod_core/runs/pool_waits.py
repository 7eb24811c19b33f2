"""Says in the logs of plans why no listener of their pool takes them, once for each reason that lasts."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core.db import Database
from terrapod_core.runs.logs import Logs
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.queries import pool_views
from terrapod_core.runs.status import PhaseStatus
from terrapod_core.runs.turns import UNTAKEN
from terrapod_core.runs.waiting import for_a_listener
from terrapod_core.workspaces import Workspace

MOST: Final = 50
"""Phases looked at in one pass; who comes later is told in a later one."""


class PoolWaits:
    """Not for applies: terraform's CLI swallows the first three lines of their log."""

    def __init__(self, db: Database, logs: Logs) -> None:
        self._db = db
        self._logs = logs
        self._told: dict[str, str] = {}

    async def tell(self) -> None:
        """One pass: what waits, and was not told the same before."""
        due = await self._db.read(self._due)
        self._told = {phase_id: why for phase_id, why in self._told.items() if phase_id in due}
        for phase_id, why in due.items():
            if self._told.get(phase_id) == why:
                continue
            async with self._db.uow() as uow:
                phase = await uow.session.get_one(Phase, phase_id, with_for_update=True)
                if phase.status == PhaseStatus.QUEUED and phase.lease_expires_at is None:
                    self._logs.say(uow, phase, f"Waiting: {why}.\n")
                    await uow.commit()
            self._told[phase_id] = why

    def _due(self, session: Session) -> dict[str, str]:
        """What each queued plan of an agent pool waits for, by the phase's id."""
        query = (
            select(Phase.id, Workspace.agent_pool_id).join(Run, Run.id == Phase.run_id).join(Workspace, Workspace.id == Run.workspace_id)
        )
        query = (
            query.where(UNTAKEN, Phase.kind == "plan", Workspace.agent_pool_id.is_not(None)).order_by(Phase.queued_at, Phase.id).limit(MOST)
        )
        waiting: dict[str, str] = {phase_id: pool_id or "" for phase_id, pool_id in session.execute(query)}
        now = self._db.clock.now()
        pools = pool_views(session, set(waiting.values()), now)
        return {
            phase_id: for_a_listener(pools[pool_id], now).detail for phase_id, pool_id in waiting.items() if not pools[pool_id].has_room
        }

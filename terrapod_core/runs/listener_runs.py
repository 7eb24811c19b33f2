"""What a listener tells of the phases that it was given: what their own programs cannot."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import select

from terrapod_core import audit
from terrapod_core.agents import ListenerIdentity
from terrapod_core.authz.gate import missing
from terrapod_core.coordination import PHASES
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Conflict, Problems
from terrapod_core.runs.models import Phase, Run
from terrapod_core.runs.outcome import Outcomes
from terrapod_core.runs.phases import LEASE, LeaseLost
from terrapod_core.workspaces import Workspace, queries as workspaces_queries

LONGEST_MESSAGE: Final = 4096

_GOING: Final = {"plan": "planning", "apply": "applying"}
_ENDED: Final = {"plan": "planned", "apply": "applied"}
_QUEUED: Final = {"plan": "plan_queued", "apply": "apply_queued"}
ERRORED: Final = "errored"


class TellRun(msgspec.Struct, kw_only=True):
    """How it goes with a phase."""

    phase_id: str
    epoch: int
    status: str
    message: str | None = None
    """Why it errored, or cannot be started now."""
    launched: bool = True
    """Whether its program was started at all; said when it errored."""

    def check(self, kind: str) -> None:
        """Raise `Invalid` for what cannot be said of a plan, or of an apply."""
        problems = Problems()
        known = (_GOING[kind], _ENDED[kind], ERRORED, _QUEUED[kind])
        if self.status not in known:
            problems.add(f"Status of a {kind} must be {', '.join(known[:-1])} or {known[-1]}", attribute="status")
        if len(self.message or "") > LONGEST_MESSAGE:
            problems.add(f"Message must have at most {LONGEST_MESSAGE} characters", attribute="message")
        problems.refuse()


class ListenerRuns:
    """Takes a listener's word for its own phases."""

    def __init__(self, db: Database, outcomes: Outcomes) -> None:
        self._db = db
        self._outcomes = outcomes

    async def tell(self, identity: ListenerIdentity, run_id: str, said: TellRun) -> Run:
        """Take it; the run as it is then. What was told before may be told again.

        Raises `NotFound` for a run that is not this listener's, `LeaseLost` for an older epoch, `Invalid`, and `Conflict` with the
        code `not_reported` for a phase that ended well and whose report did not come, `has_begun` for one that cannot be put back.
        """
        async with self._db.uow() as uow:
            workspace, run, phase = await self._held(uow, identity, run_id, said)
            said.check(phase.kind)
            if phase.is_final:
                if phase.kind == "apply" and said.status in (ERRORED, _ENDED["apply"]):
                    # A cancelled apply that fell silent keeps its workspace while its state may come; now nothing will.
                    await self._outcomes.gone(uow, workspace, run)
            elif phase.epoch != said.epoch or phase.lease_expires_at is None:
                raise LeaseLost
            else:
                await self._take(uow, identity, workspace, run, phase, said)
            uow.wake(PHASES)
            await uow.commit()
        return run

    async def _take(self, uow: UnitOfWork, identity: ListenerIdentity, workspace: Workspace, run: Run, phase: Phase, said: TellRun) -> None:
        begun = phase.claimed_by is not None
        if said.status == _GOING[phase.kind]:
            if not begun:
                phase.lease_expires_at = uow.now() + LEASE
            return
        if said.status == _ENDED[phase.kind]:
            raise Conflict("the program of this phase has not reported; say that it errored, and why", code="not_reported")
        if said.status == _QUEUED[phase.kind]:
            if begun:
                raise Conflict("the program of this phase has begun; it cannot be put back", code="has_begun")
            phase.lease_expires_at = None
            phase.launches -= 1
            run.held_for = said.message
        elif said.launched or begun:
            await self._outcomes.lost(uow, workspace, run, phase, why=said.message)
        else:
            await self._outcomes.failed(
                uow, workspace, run, phase, f"the runner could not be started: {said.message or 'no reason was told'}"
            )
        audit.record(uow, identity.actor, "run.tell", "runs", run.id, phase=phase.id, status=said.status, reason=said.message)

    async def _held(self, uow: UnitOfWork, identity: ListenerIdentity, run_id: str, said: TellRun) -> tuple[Workspace, Run, Phase]:
        """Workspace, run and phase, locked in that order, as everywhere."""
        query = select(Run.workspace_id).join(Phase, Phase.run_id == Run.id)
        query = query.where(Run.id == run_id, Phase.id == said.phase_id, Phase.listener_id == identity.listener_id)
        workspace_id = (await uow.session.execute(query)).scalar_one_or_none()
        workspace = await uow.run(lambda session: workspaces_queries.for_update(session, workspace_id or ""))
        if workspace is None:
            raise missing("run")
        run = await uow.session.get_one(Run, run_id, with_for_update=True, populate_existing=True)
        phase = await uow.session.get_one(Phase, said.phase_id, with_for_update=True, populate_existing=True)
        if phase.listener_id != identity.listener_id:
            raise LeaseLost
        return workspace, run, phase

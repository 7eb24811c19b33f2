"""When the plan of an assessment has ended, what it found is written down; when a run was applied, there is no drift any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete

from terrapod_core import ids
from terrapod_core.assessments import conditions, findings, queries
from terrapod_core.assessments.findings import Findings
from terrapod_core.assessments.models import AssessmentResult
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.jobs import Jobs
from terrapod_core.plugin.events import RunStatusChanged
from terrapod_core.runs import Phase, PhaseStatus, Run, RunStatus, plan_json
from terrapod_core.storage import Objects
from terrapod_core.workspaces import Workspace, queries as workspaces
from terrapod_core.workspaces.conditions import settle

KEPT: Final = 100
"""Results of one workspace."""

PLANNED: Final = frozenset({RunStatus.PLANNED, RunStatus.PLANNED_AND_FINISHED, RunStatus.PLANNED_AND_SAVED, RunStatus.ERRORED})


@dataclass(frozen=True)
class _Outcome:
    """What came of an assessment: what it found, or else why nothing."""

    found: Findings | None
    why: str | None = None


class Handlers:
    """Listens to runs. Each may be called twice for one piece of news, and in any order."""

    def __init__(self, db: Database, objects: Objects) -> None:
        self._db = db
        self._objects = objects

    def register(self, jobs: Jobs) -> None:
        """Listen."""
        jobs.on(RunStatusChanged, "assessments.look", self.look, concerning=queries.concerned)

    async def look(self, event: RunStatusChanged) -> None:
        """Write down what a run's plan found, when it is an assessment; settle drift, when the run was applied."""
        if event.status not in PLANNED and event.status != RunStatus.APPLIED:
            return
        seen = await self._db.read(lambda session: queries.run_and_plan(session, event.run_id))
        if seen is None:
            return
        run, plan = seen
        if event.status == RunStatus.APPLIED:
            await self._settle(run, plan)
        elif run.assesses and plan.finished_at is not None and plan.status != PhaseStatus.CANCELED:
            await self._assess(run, plan, plan.finished_at)

    async def _assess(self, run: Run, plan: Phase, moment: datetime) -> None:
        if await self._db.read(lambda session: queries.is_known(session, run.id)):
            return
        outcome = await self._outcome(run, plan)
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces.for_update(session, run.workspace_id))
            if workspace is None or await uow.run(lambda session: queries.is_known(session, run.id)):
                return
            result = _result(run, outcome, moment)
            uow.add(result)
            await uow.flush()
            if workspace.last_assessment_at is None or workspace.last_assessment_at <= moment:
                workspace.current_assessment_result_id, workspace.last_assessment_at = result.id, moment
                await self._tell(uow, workspace, run, outcome.found, moment)
            old = await uow.run(lambda session: queries.too_many(session, run.workspace_id, KEPT))
            await uow.session.execute(delete(AssessmentResult).where(AssessmentResult.id.in_(old)))
            await uow.commit()

    async def _tell(self, uow: UnitOfWork, workspace: Workspace, run: Run, found: Findings | None, moment: datetime) -> None:
        """Let the workspace's condition be what the newest result says; one that did not succeed says nothing."""
        if found is None:
            return
        if not found.drifted:
            settle(uow, workspace, conditions.CODE, f"the assessment by {run.id} found no drift")
        elif not await uow.run(lambda session: queries.applied_since(session, workspace.id, moment)):
            conditions.tell(uow, workspace, conditions.drift_found(found.drifted, run.id, moment))

    async def _settle(self, run: Run, plan: Phase) -> None:
        async with self._db.uow() as uow:
            workspace = await uow.run(lambda session: workspaces.for_update(session, run.workspace_id))
            if workspace is None or workspace.last_assessment_at is None or not queries.compared(run, plan, workspace.last_assessment_at):
                return
            if settle(uow, workspace, conditions.CODE, f"{run.id} was applied"):
                await uow.commit()

    async def _outcome(self, run: Run, plan: Phase) -> _Outcome:
        if plan.plan_json_key is None:
            return _Outcome(None, run.failure or _without_json(plan))
        document = await plan_json.whole(self._objects, plan, plan.plan_json_key)
        if document is None:
            return _Outcome(None, "the plan is larger than 64 MiB as JSON, which is not taken apart, so nobody counts what has drifted")
        try:
            return _Outcome(await asyncio.to_thread(findings.read, document))
        except findings.Unreadable as error:
            return _Outcome(None, run.failure or str(error))


def _without_json(plan: Phase) -> str:
    if plan.plan_removed_at is not None:
        return "the plan was removed before it was looked at"
    return "the plan failed; its log says why" if plan.status == PhaseStatus.ERRORED else "the plan left no JSON to look at"


def _result(run: Run, outcome: _Outcome, moment: datetime) -> AssessmentResult:
    found = outcome.found
    return AssessmentResult(
        id=ids.new("asmtres"),
        workspace_id=run.workspace_id,
        run_id=run.id,
        plan_id=run.plan_id,
        succeeded=found is not None,
        error_message=outcome.why,
        drifted=bool(found and found.drifted),
        resources_drifted=len(found.drifted) if found else None,
        resources_undrifted=found.undrifted if found else None,
        checks_passed=found.passed if found else None,
        checks_failed=found.failed if found else None,
        checks_errored=found.errored if found else None,
        checks_unknown=found.unknown if found else None,
        created_at=moment,
    )

"""Assessments, as people and programs handle them: start one, read what the newest found, come to its plan."""

from __future__ import annotations

from typing import Final

from sqlalchemy.orm import Session

from terrapod_core.assessments import queries
from terrapod_core.assessments.models import AssessmentResult
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.configurations import queries as configurations
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, NotFound
from terrapod_core.jsonapi import Ref
from terrapod_core.projects import ExecutionMode
from terrapod_core.runs import Phase, Runs
from terrapod_core.runs.queries import RunView
from terrapod_core.runs.requests import CreateRun
from terrapod_core.workspaces import Workspace, queries as workspaces

MESSAGE: Final = "Health assessment"
REASON: Final = "assessment"
NOUN: Final = "assessment result"


class Assessments:
    """The assessments of all workspaces."""

    def __init__(self, db: Database, authz: Authorizer, runs: Runs) -> None:
        self._db = db
        self._authz = authz
        self._runs = runs

    async def current(self, actor: Actor, workspace_id: str) -> AssessmentResult:
        """What the workspace's newest assessment found; `NotFound` when there was none, or the workspace is not for this actor."""

        def look(session: Session) -> AssessmentResult:
            workspace = self._workspace(session, actor, Permission.RUN_READ, workspace_id)
            found = queries.by_id(session, workspace.current_assessment_result_id or "")
            if found is None:
                raise NotFound("this workspace was not assessed yet; POST to its actions/assess starts an assessment")
            return found[0]

        return await self._db.read(look)

    async def read(self, actor: Actor, result_id: str) -> AssessmentResult:
        """One result; `NotFound` when it is not there, or its workspace is not for this actor."""

        def look(session: Session) -> AssessmentResult:
            found = queries.by_id(session, result_id)
            if found is None:
                raise missing(NOUN)
            self._authz.require(actor, Permission.RUN_READ, found[1], noun=NOUN)
            return found[0]

        return await self._db.read(look)

    async def plan(self, actor: Actor, result_id: str, permission: Permission = Permission.RUN_READ) -> tuple[Phase, RunView]:
        """The plan that a result is taken from, and its run, for those with the permission."""
        return await self._runs.phase(actor, (await self.read(actor, result_id)).plan_id, permission)

    async def start(self, actor: Actor, workspace_id: str) -> RunView:
        """Plan what has changed outside of terraform, and nothing else; needs the level plan.

        `Conflict` when an assessment is under way, or there is nothing that could be compared; what `Runs.create` raises.
        """
        await self._db.read(lambda session: self._workspace(session, actor, Permission.RUN_PLAN, workspace_id))
        new = CreateRun(workspace=Ref(type="workspaces", id=workspace_id), plan_only=True, refresh_only=True)
        return await self._runs.create(actor, new, message=MESSAGE, reason=REASON, check=_can_be_assessed)

    def _workspace(self, session: Session, actor: Actor, permission: Permission, workspace_id: str) -> Workspace:
        workspace = workspaces.by_id(session, workspace_id)
        if workspace is None:
            raise missing("workspace")
        self._authz.require(actor, permission, workspace)
        return workspace


def _can_be_assessed(session: Session, workspace: Workspace) -> None:
    """Raise `Conflict` when an assessment is under way or nothing can be compared."""
    if workspace.execution_mode == ExecutionMode.LOCAL:
        raise Conflict("the workspace's execution mode is `local`: this server cannot look at what it manages")
    if workspace.current_state_version_id is None:
        raise Conflict("the workspace has no state yet, so there is nothing that could have drifted; apply a run first")
    if configurations.latest_usable(session, workspace.id) is None:
        raise Conflict("the workspace has no configuration yet; upload a configuration version first")
    begun = queries.under_way(session, workspace.id)
    if begun is not None:
        raise Conflict(f"an assessment of this workspace is under way ({begun}); wait for its result")

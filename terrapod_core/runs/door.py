"""How services come to a run they are about to change: everything locked, and the one who asks allowed."""

from __future__ import annotations

from sqlalchemy import select

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import UnitOfWork
from terrapod_core.runs.models import Run
from terrapod_core.workspaces import Workspace, queries as workspaces_queries


class Door:
    """Shared by the services of this room."""

    def __init__(self, authz: Authorizer) -> None:
        self._authz = authz

    async def held(self, uow: UnitOfWork, actor: Actor, run_id: str, permission: Permission | None) -> tuple[Run, Workspace]:
        """The run and its workspace, both locked (the workspace first, as everywhere), and the actor allowed."""
        workspace_id = (await uow.session.execute(select(Run.workspace_id).where(Run.id == run_id))).scalar_one_or_none()
        workspace = await uow.run(lambda session: workspaces_queries.for_update(session, workspace_id or ""))
        if workspace is None:
            raise missing("run")
        self._authz.require(actor, Permission.RUN_READ, workspace, noun="run")
        if permission is not None:
            self._authz.require(actor, permission, workspace, noun="run")
        run = await uow.session.get_one(Run, run_id, with_for_update=True, populate_existing=True)
        return run, workspace

    def require_own(self, actor: Actor, run: Run, workspace: Workspace) -> None:
        """Write may stop any run; plan may stop its own plan-only ones."""
        own = run.plan_only and run.created_by_id is not None and run.created_by_id == actor.user_id
        self._authz.require(actor, Permission.RUN_PLAN if own else Permission.RUN_CANCEL, workspace, noun="run")

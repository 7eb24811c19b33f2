"""The doors of the pages, over the services of runs and workspaces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from terrapod_core import runs as room
from terrapod_core.accounts import User
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.db import Database
from terrapod_core.jsonapi import Page, PageRequest, Query
from terrapod_core.projects.models import Project
from terrapod_core.runs.queries import RunView as Shown
from terrapod_core.ui.views import PhaseView, RunAction, RunView, WorkspaceRow
from terrapod_core.workspaces import Workspaces
from terrapod_core.workspaces.conditions import Conditions

ORGANIZATION: Final = "default"


class RunDoor:
    """Runs, for the page of one."""

    def __init__(self, runs: room.Runs, logs: room.Logs, db: Database, authz: Authorizer) -> None:
        self._runs = runs
        self._logs = logs
        self._db = db
        self._authz = authz

    async def show(self, actor: Actor, run_id: str) -> RunView:
        """The run as its page shows it."""
        shown = await self._runs.show(actor, run_id)
        return await self._db.read(lambda session: self._view(session, actor, shown))

    async def log(self, actor: Actor, phase_id: str, offset: int, limit: int) -> bytes:
        """Part of a log, for those who may read the run."""
        await self._runs.phase(actor, phase_id)
        return await self._logs.read(phase_id, offset, limit)

    async def act(self, actor: Actor, run_id: str, action: RunAction, comment: str | None) -> None:
        """Do it, by the same service as the API."""
        acts: dict[RunAction, Callable[[Actor, str, str | None], Awaitable[object]]] = {
            RunAction.CONFIRM: self._runs.confirm,
            RunAction.DISCARD: self._runs.discard,
            RunAction.CANCEL: self._runs.cancel,
            RunAction.FORCE_CANCEL: self._runs.force_cancel,
        }
        await acts[action](actor, run_id, comment)

    def _view(self, session: Session, actor: Actor, shown: Shown) -> RunView:
        run = shown.run
        phases = [session.get_one(room.Phase, phase_id) for phase_id in (run.plan_id, run.apply_id)]
        creator = session.get(User, run.created_by_id) if run.created_by_id else None
        waiting = shown.waiting_on
        return RunView(
            id=run.id,
            organization=ORGANIZATION,
            workspace=shown.workspace.name,
            status=run.status,
            message=run.message,
            created_at=run.created_at,
            created_by=creator.username if creator else None,
            is_final=run.is_final,
            phases=tuple(_phase(phase) for phase in phases if phase.status != room.PhaseStatus.UNREACHABLE),
            actions=frozenset(self._actions(actor, shown)),
            waiting_for=waiting.detail if waiting is not None else None,
            failure=run.failure,
            has_changes=run.has_changes,
            is_destroy=run.is_destroy,
            plan_only=run.plan_only,
            engine=f"{run.engine} {run.terraform_version}" if run.engine else None,
        )

    def _actions(self, actor: Actor, shown: Shown) -> list[RunAction]:
        run, workspace = shown.run, shown.workspace
        own = run.plan_only and run.created_by_id == actor.user_id
        may_stop = self._authz.allows(actor, Permission.RUN_PLAN if own else Permission.RUN_CANCEL, workspace)
        possible = {
            RunAction.CONFIRM: run.is_confirmable and self._authz.allows(actor, Permission.RUN_APPLY, workspace),
            RunAction.DISCARD: run.is_discardable and may_stop,
            RunAction.CANCEL: run.is_cancelable and may_stop,
            RunAction.FORCE_CANCEL: run.is_force_cancelable(self._db.clock.now())
            and self._authz.allows(actor, Permission.RUN_FORCE_CANCEL, workspace),
        }
        return [action for action, offered in possible.items() if offered]


def _phase(phase: room.Phase) -> PhaseView:
    return PhaseView(
        id=phase.id,
        kind=phase.kind,
        status=phase.status,
        log_size=phase.log_size,
        is_final=phase.is_final,
        started_at=phase.started_at,
        finished_at=phase.finished_at,
        additions=phase.additions,
        changes=phase.changes,
        destructions=phase.destructions,
        imports=phase.imports,
    )


class WorkspaceDoor:
    """Workspaces, for the first page."""

    def __init__(self, workspaces: Workspaces, db: Database, conditions: Conditions) -> None:
        self._workspaces = workspaces
        self._db = db
        self._conditions = conditions

    async def list(self, actor: Actor, page: PageRequest, search: str | None) -> Page[WorkspaceRow]:
        """Those the actor may see, by name."""
        asked = {"page[number]": str(page.number), "page[size]": str(page.size), "sort": "name"}
        found = await self._workspaces.list(actor, Query.parse({**asked, **({"search[name]": search} if search else {})}))

        def rows(session: Session) -> list[WorkspaceRow]:
            run_ids = [each.current_run_id for each in found.items if each.current_run_id]
            project_ids = {each.project_id for each in found.items}
            statuses = {row[0]: row[1] for row in session.execute(select(room.Run.id, room.Run.status).where(room.Run.id.in_(run_ids)))}
            names = {row[0]: row[1] for row in session.execute(select(Project.id, Project.name).where(Project.id.in_(project_ids)))}
            return [
                WorkspaceRow(
                    name=each.name,
                    organization=ORGANIZATION,
                    project=names.get(each.project_id),
                    updated_at=each.updated_at,
                    resources=each.resource_count,
                    locked=each.lock_kind is not None,
                    run_id=each.current_run_id,
                    run_status=statuses.get(each.current_run_id or ""),
                    conditions=self._conditions.of(each),
                )
                for each in found.items
            ]

        return Page(items=await self._db.read(rows), number=found.number, size=found.size, total=found.total)

    async def ids(self, actor: Actor, names: Sequence[str]) -> Sequence[str]:
        """Those of the workspaces with these names."""
        return [(await self._workspaces.read_by_name(actor, name)).id for name in names]

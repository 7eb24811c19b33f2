"""Changes, as people look at them: list, read, approve, look at the repository now."""

from __future__ import annotations

from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.coordination import CHANGES
from terrapod_core.db import Database
from terrapod_core.errors import Conflict, Invalid, InvalidTransition
from terrapod_core.ingress import queries
from terrapod_core.ingress.models import Change, ChangeKind, ChangeStatus
from terrapod_core.jsonapi import Page, PageRequest
from terrapod_core.vcs import queries as vcs
from terrapod_core.vcs.following import show_all
from terrapod_core.workspaces import Workspace, queries as workspaces

NOUN = "change"


class Changes:
    """What workspaces saw in their repositories."""

    def __init__(self, db: Database, authz: Authorizer) -> None:
        self._db = db
        self._authz = authz

    async def list(self, actor: Actor, workspace_id: str, page: PageRequest) -> Page[Change]:
        """One page of a workspace's changes, the newest first."""

        def read(session: Session) -> Page[Change]:
            workspace = self._workspace(actor, Permission.RUN_READ, workspaces.by_id(session, workspace_id))
            return queries.listing(session, workspace.id, page)

        return await self._db.read(read)

    async def read(self, actor: Actor, change_id: str) -> Change:
        """One change; `NotFound` when it is not there or its workspace is not for this actor."""

        def read(session: Session) -> Change:
            change = queries.change(session, change_id)
            workspace = workspaces.by_id(session, change.workspace_id) if change is not None else None
            if change is None or workspace is None:
                raise missing(NOUN)
            self._authz.require(actor, Permission.RUN_READ, workspace, noun=NOUN)
            return change

        return await self._db.read(read)

    async def approve(self, actor: Actor, change_id: str, comment: str | None) -> Change:
        """Let a pull request's commit be planned with all that the workspace's own commits get; needs the level write.

        It is for this very commit: the next one waits again. `InvalidTransition` for what does not wait, or is not the newest any more.
        """
        async with self._db.uow() as uow:
            change = await uow.run(lambda session: queries.change(session, change_id))
            workspace = await uow.run(lambda session: workspaces.for_update(session, change.workspace_id if change else ""))
            if change is None or workspace is None:
                raise missing(NOUN)
            self._authz.require(actor, Permission.RUN_APPLY, workspace, noun=NOUN)
            row = await uow.run(lambda session: queries.change(session, change_id, lock=True))
            assert row is not None
            refused = row.status == ChangeStatus.REFUSED and row.configuration_version_id is not None
            if row.kind != ChangeKind.PULL or not (row.status == ChangeStatus.WAITING or refused):
                raise InvalidTransition(f"the change is {row.status}; only a pull request's commit that waits can be approved")
            if row.repository_id != workspace.vcs_repository_id:
                raise Conflict("the workspace does not follow this commit's repository any more")
            if not row.open:
                raise Conflict("a newer commit came, or the pull request was closed; look at that one")
            row.status, row.reason, row.configuration_version_id = ChangeStatus.PENDING.value, None, None
            row.approved_by_id, row.approved_at = actor.user_id, uow.now()
            row.next_try_at, row.attempts, row.updated_at = uow.now(), 0, uow.now()
            about = {"workspace": workspace.name, "number": row.number, "commit": row.sha, "comment": comment}
            audit.record(uow, actor, "vcs-change.approve", "vcs-changes", row.id, **about)
            uow.wake(CHANGES)
            await uow.commit()
        return row

    async def look_now(self, actor: Actor, workspace_id: str) -> None:
        """Have the workspace's repository looked at now, as if nothing of it had been seen; needs the level plan."""
        async with self._db.uow() as uow:
            workspace = self._workspace(
                actor, Permission.RUN_PLAN, await uow.run(lambda session: workspaces.for_update(session, workspace_id))
            )
            repository = await uow.run(lambda session: vcs.repository(session, workspace.vcs_repository_id or ""))
            if repository is None:
                raise Invalid("the workspace follows no repository (vcs-repo)")
            show_all(uow, repository)
            await uow.commit()

    def _workspace(self, actor: Actor, permission: Permission, workspace: Workspace | None) -> Workspace:
        if workspace is None:
            raise missing("workspace")
        self._authz.require(actor, permission, workspace)
        return workspace

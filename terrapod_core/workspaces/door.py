"""What the services of this room share: finding a workspace that an actor may do something to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.workspaces import queries
from terrapod_core.workspaces.models import Workspace

PendingState: TypeAlias = Callable[[Session, str], bool]
"""Whether the newest state version of this workspace still waits for its bytes; the states' room knows."""


@dataclass(frozen=True)
class Door:
    """The database and the gate before it."""

    db: Database
    authz: Authorizer

    def allowed(self, actor: Actor, permission: Permission, workspace: Workspace | None) -> Workspace:
        """The workspace, when it is there and the actor may; else `NotFound` or `Forbidden`."""
        if workspace is None:
            raise missing("workspace")
        self.authz.require(actor, permission, workspace)
        return workspace

    async def taken(self, uow: UnitOfWork, actor: Actor, permission: Permission, workspace_id: str) -> Workspace:
        """The same, with the row locked: the permission and what is done with it see one row."""
        return self.allowed(actor, permission, await uow.run(lambda session: queries.for_update(session, workspace_id)))

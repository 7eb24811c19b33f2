"""Locks that people take. Runs take theirs through `Workspaces.take_for_run`."""

from __future__ import annotations

from typing import Final

from terrapod_core import audit
from terrapod_core.authz import Actor, Permission
from terrapod_core.errors import Conflict, Forbidden, Invalid
from terrapod_core.plugin.events import WorkspaceLocked, WorkspaceUnlocked
from terrapod_core.workspaces.door import Door, PendingState
from terrapod_core.workspaces.models import LockKind, Workspace

MAX_REASON: Final = 1024

STILL_PENDING: Final = "latest state version is still pending; unlock again when its upload has ended"
"""terraform tries again when it reads the first words, unless they come with a 409."""


def holder(workspace: Workspace) -> str:
    """Who has the lock, in the words that go-tfe looks for in a refused unlock: `is locked by User …`, `is locked by Run …`."""
    if workspace.lock_kind == LockKind.RUN:
        return f"is locked by Run {workspace.lock_holder_id}"
    return f"is locked by User {workspace.lock_holder_name}"


class Locks:
    """Lock, unlock, unlock by force."""

    def __init__(self, door: Door, pending_state: PendingState) -> None:
        self._door = door
        self._pending = pending_state

    async def lock(self, actor: Actor, workspace_id: str, reason: str | None) -> Workspace:
        """Take the lock, so that runs wait and nobody else writes state. `Conflict` when it is taken, also by the actor."""
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_LOCK, workspace_id)
            if actor.user_id is None:
                raise Forbidden("only people lock workspaces; a run takes its workspace by itself")
            if reason is not None and len(reason) > MAX_REASON:
                raise Invalid(f"reason must have at most {MAX_REASON} characters", pointer="/data/attributes/reason")
            if workspace.locked:
                raise Conflict(f"the workspace {workspace.name} {holder(workspace)}")
            workspace.lock(LockKind.USER, actor.user_id, actor.name, reason or None, uow.now())
            uow.emit(WorkspaceLocked(workspace_id=workspace.id))
            audit.record(uow, actor, "workspace.lock", "workspaces", workspace.id, name=workspace.name, reason=reason)
            await uow.commit()
        return workspace

    async def unlock(self, actor: Actor, workspace_id: str) -> Workspace:
        """Give the actor's own lock back. `Conflict` when it is free or another's; `Invalid` while a state is being uploaded."""
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_LOCK, workspace_id)
            if not workspace.locked:
                raise Conflict(f"the workspace {workspace.name} is not locked")
            if workspace.lock_kind != LockKind.USER or workspace.lock_holder_id != actor.user_id:
                raise Conflict(f"the workspace {workspace.name} {holder(workspace)}")
            if await uow.run(lambda session: self._pending(session, workspace.id)):
                raise Invalid(STILL_PENDING)
            workspace.unlock()
            uow.emit(WorkspaceUnlocked(workspace_id=workspace.id))
            audit.record(uow, actor, "workspace.unlock", "workspaces", workspace.id, name=workspace.name)
            await uow.commit()
        return workspace

    async def force_unlock(self, actor: Actor, workspace_id: str) -> Workspace:
        """Take a lock from the person who has it, or from a run that is over and whose state is awaited.

        `Conflict` when it is free; `Invalid` when a run has it that goes on.
        """
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_FORCE_UNLOCK, workspace_id)
            if not workspace.locked:
                raise Conflict(f"the workspace {workspace.name} is not locked")
            if workspace.lock_kind == LockKind.RUN and not workspace.awaits_state:
                # Not a 409: terraform would say that the workspace is unlocked. Two runs at once would write one state.
                raise Invalid(f"the workspace {workspace.name} {holder(workspace)}; cancel or discard that run, and the lock goes with it")
            was = workspace.lock_holder_name
            workspace.unlock()
            uow.emit(WorkspaceUnlocked(workspace_id=workspace.id))
            audit.record(uow, actor, "workspace.force-unlock", "workspaces", workspace.id, name=workspace.name, locked_by=was)
            await uow.commit()
        return workspace

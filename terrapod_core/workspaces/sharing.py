"""Whose runs may read a workspace's state. Nobody's, until an admin of the workspace that provides it says so."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from terrapod_core import audit
from terrapod_core.authz import Actor, Permission
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Invalid
from terrapod_core.jsonapi import Page, Query, Ref
from terrapod_core.workspaces import queries
from terrapod_core.workspaces.door import Door
from terrapod_core.workspaces.models import RemoteStateConsumer, Workspace


class Sharing:
    """go-tfe's `…RemoteStateConsumers`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def list(self, actor: Actor, workspace_id: str, query: Query) -> Page[Workspace]:
        """One page of the consumers that the actor may read; of all workspaces when the state is global."""

        def read(session: Session) -> Page[Workspace]:
            workspace = self._door.allowed(actor, Permission.WORKSPACE_READ, queries.by_id(session, workspace_id))
            return queries.consumers(session, self._door.authz, actor, workspace, query)

        return await self._door.db.read(read)

    async def add(self, actor: Actor, workspace_id: str, consumers: Sequence[Ref]) -> None:
        """Let these read too; those that may already are none too many."""
        async with self._door.db.uow() as uow:
            workspace, named = await self._begin(uow, actor, workspace_id, consumers)
            await self._put(uow, actor, workspace, add=named - await self._now(uow, workspace), remove=set())

    async def replace(self, actor: Actor, workspace_id: str, consumers: Sequence[Ref]) -> None:
        """Let these read and nobody else; consumers that the actor may not see stay."""
        async with self._door.db.uow() as uow:
            workspace, named = await self._begin(uow, actor, workspace_id, consumers)
            now = await self._now(uow, workspace)
            await self._put(uow, actor, workspace, add=named - now, remove=await self._visible(uow, actor, now - named))

    async def remove(self, actor: Actor, workspace_id: str, consumers: Sequence[Ref]) -> None:
        """Let these read no longer."""
        async with self._door.db.uow() as uow:
            workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_UPDATE, workspace_id)
            named = {consumer.id for consumer in consumers if consumer.id}
            await self._put(uow, actor, workspace, add=set(), remove=named & await self._now(uow, workspace))

    async def _begin(self, uow: UnitOfWork, actor: Actor, workspace_id: str, consumers: Sequence[Ref]) -> tuple[Workspace, set[str]]:
        """The workspace, and the ids of the consumers after each was checked as if it had been fetched."""
        workspace = await self._door.taken(uow, actor, Permission.WORKSPACE_UPDATE, workspace_id)
        if workspace.global_remote_state:
            raise Invalid("the state is shared with all workspaces (global-remote-state); switch that off to name some", pointer="/data")
        named = {consumer.id or "" for consumer in consumers}
        if workspace.id in named:
            raise Invalid("a workspace reads its own state without being its consumer", pointer="/data")
        strange = named - await self._visible(uow, actor, named)
        if strange:
            raise Invalid(f"there is no workspace {min(strange)}, or you may not see it", pointer="/data")
        return workspace, named

    async def _visible(self, uow: UnitOfWork, actor: Actor, workspace_ids: set[str]) -> set[str]:
        wanted = sorted(workspace_ids)
        found = await uow.run(lambda session: queries.readable(session, self._door.authz, actor, wanted))
        return {one.id for one in found}

    async def _now(self, uow: UnitOfWork, workspace: Workspace) -> set[str]:
        query = select(RemoteStateConsumer.consumer_id).where(RemoteStateConsumer.workspace_id == workspace.id)
        return set((await uow.session.execute(query)).scalars())

    async def _put(self, uow: UnitOfWork, actor: Actor, workspace: Workspace, *, add: set[str], remove: set[str]) -> None:
        if not add and not remove:
            return
        uow.add(*(RemoteStateConsumer(workspace_id=workspace.id, consumer_id=one) for one in sorted(add)))
        gone = RemoteStateConsumer.consumer_id.in_(sorted(remove))
        await uow.session.execute(delete(RemoteStateConsumer).where(RemoteStateConsumer.workspace_id == workspace.id, gone))
        audit.record(
            uow, actor, "workspace.share-state", "workspaces", workspace.id,
            name=workspace.name, added=sorted(add), removed=sorted(remove),
        )  # fmt: skip
        await uow.commit()

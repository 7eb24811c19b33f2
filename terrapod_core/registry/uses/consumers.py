"""Which workspaces use which versions, as the last runs of each said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Permission
from terrapod_core.db import UnitOfWork
from terrapod_core.jsonapi import Query
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.registry.door import Door
from terrapod_core.registry.uses import queries
from terrapod_core.registry.uses.documents import Uses
from terrapod_core.registry.uses.kinds import KINDS, Kind
from terrapod_core.registry.uses.queries import Listed

Readable: TypeAlias = Callable[[Actor], Select[str]]
"""Selects the ids of the workspaces that an actor may read."""


@dataclass(frozen=True)
class Using:
    """The run that used something."""

    workspace_id: str
    run_id: str
    in_force: bool
    """Whether its configuration is now what the workspace's state comes from, and not a plan alone."""
    answering: Sequence[Actor]
    """Those who answer for the run: it can have used what each of them may read."""


class Consumers:
    """Keeps and tells them."""

    def __init__(self, door: Door, hosts: Collection[str], readable: Readable) -> None:
        """`hosts` are what configurations call this server, with the port where it is not that of https."""
        self._door = door
        self._hosts = hosts
        self._readable = readable

    async def note(self, uow: UnitOfWork, using: Using, uses: Uses) -> None:
        """Put what a run used in the place of what its workspace used; the workspace's row is locked by the caller.

        A run whose configuration is in force says all that the workspace uses. A plan alone replaces what plans alone used: the rest
        is still in force. What is no published version of this registry, or nothing that those may read who answer for the run, is
        passed over.
        """
        for kind, sent in zip(KINDS, (uses.modules, uses.providers), strict=True):
            look = partial(
                queries.used_versions, authz=self._door.authz, kind=kind, sent=sent, hosts=self._hosts, answering=using.answering
            )
            await _replace(uow, kind, using, await uow.run(look))

    async def list(self, actor: Actor, kind: Kind, address: Any, query: Query) -> Listed:
        """One page of the consumers of an item that the actor may read, of `filter[version]` alone where it says one.

        `address` is one of the kind's. Workspaces that they may not read are counted and not named.
        """

        def read(session: Session) -> Listed:
            item = self._door.allowed(actor, Permission.REGISTRY_READ, kind.find(session, address), noun=kind.noun)
            return queries.consumers(session, kind, item, query, self._readable(actor))

        return await self._door.db.read(read)

    async def downloads(self, actor: Actor, kind: Kind, address: Any, query: Query) -> Listed:
        """The same of its downloads, by those who were given the links; for who has the item's admin."""

        def read(session: Session) -> Listed:
            item = self._door.allowed(actor, Permission.REGISTRY_UPDATE, kind.find(session, address), noun=kind.noun)
            return queries.downloads(session, kind, item, query, self._readable(actor))

        return await self._door.db.read(read)

    async def forget(self, event: WorkspaceDeleted) -> None:
        """A workspace that is gone uses nothing. What its runs downloaded stays counted."""
        async with self._door.db.uow() as uow:
            for kind in KINDS:
                await uow.session.execute(delete(kind.consumer).where(kind.consumer.workspace_id == event.workspace_id))
            await uow.commit()


async def _replace(uow: UnitOfWork, kind: Kind, using: Using, found: Collection[str]) -> None:
    table = kind.consumer
    rows = (await uow.session.execute(select(table).where(table.workspace_id == using.workspace_id))).scalars()
    there = {row.version_id: row for row in rows}
    for version_id, row in there.items():
        if version_id not in found and (using.in_force or row.plan_only):
            await uow.session.delete(row)
    for version_id in sorted(found):
        row = there.get(version_id)
        if row is None:
            row = table(version_id=version_id, workspace_id=using.workspace_id, plan_only=True)
            uow.add(row)
        row.run_id, row.used_at, row.plan_only = using.run_id, uow.now(), row.plan_only and not using.in_force
